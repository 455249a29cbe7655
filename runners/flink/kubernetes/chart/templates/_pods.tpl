{{/* What both of Flink's pods have in common. Flink fills in image, command, ports and resources by the container's name. */}}

{{- define "beam-rtls.podMetadata" -}}
labels:
  {{- include "beam-rtls.podLabels" . | nindent 2 }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := dict }}
{{- if .Values.kafka.properties }}
{{- $_ := set $annotations "beam-rtls/kafka-properties" (sha256sum .Values.kafka.properties) }}
{{- end }}
{{- if .Values.metrics.enabled }}
{{- $_ := set $annotations "prometheus.io/scrape" "true" }}
{{- $_ := set $annotations "prometheus.io/path" "/metrics" }}
{{- $_ := set $annotations "prometheus.io/port" (.Values.metrics.port | int | toString) }}
{{- end }}
{{- with merge $annotations .Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* "beam-rtls.placement" (list . .Values.jobManager): pull secrets, and where the pod may run. */}}
{{- define "beam-rtls.placement" -}}
{{- $fields := dict }}
{{- range (first .).Values.imagePullSecrets }}
{{- $_ := set $fields "imagePullSecrets" (append (get $fields "imagePullSecrets" | default list) (dict "name" .)) }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with get (last $) $field }}
{{- $_ := set $fields $field . }}
{{- end }}
{{- end }}
{{- with $fields }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "beam-rtls.mainContainer" -}}
{{- if .Values.metrics.enabled }}
ports:
  - {name: metrics, containerPort: {{ int .Values.metrics.port }}, protocol: TCP}
{{- end }}
securityContext:
  {{- include "beam-rtls.containerSecurityContext" (include "beam-rtls.flinkUser" .) | nindent 2 }}
{{- with .Values.storage.credentialsSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
volumeMounts:
  - {name: flink-tmp, mountPath: /tmp}
  - {name: flink-log, mountPath: /opt/flink/log}
  {{- if include "beam-rtls.kafkaSecret" . }}
  - {name: kafka, mountPath: /etc/beam-rtls/kafka, readOnly: true}
  {{- end }}
  {{- if include "beam-rtls.claim" . }}
  - {name: flink-data, mountPath: /flink-data}
  {{- end }}
{{- end }}

{{- define "beam-rtls.kafkaVolume" -}}
- name: kafka
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}

{{- define "beam-rtls.mainVolumes" -}}
- name: flink-log
  emptyDir: {sizeLimit: {{ .Values.logSizeLimit }}}
{{- with include "beam-rtls.kafkaSecret" . }}
{{ include "beam-rtls.kafkaVolume" . }}
{{- end }}
{{- with include "beam-rtls.claim" . }}
- name: flink-data
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- end }}

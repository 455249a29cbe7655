{{- define "beam-rtls.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $name | trunc 45 | trimSuffix "-" -}}
{{- end }}

{{/* Of pods only these: labels with a version in them would restart the job whenever the chart changes. */}}
{{- define "beam-rtls.podLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "beam-rtls.labels" -}}
{{ include "beam-rtls.podLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "beam-rtls.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "beam-rtls.name" .) }}
{{- end }}

{{- define "beam-rtls.siteConfigMap" -}}
{{ .Values.site.existingConfigMap | default (printf "%s-site" (include "beam-rtls.name" .)) }}
{{- end }}

{{/* Empty where Kafka needs no credentials. */}}
{{- define "beam-rtls.kafkaSecret" -}}
{{- if .Values.kafka.existingSecret -}}
{{ .Values.kafka.existingSecret }}
{{- else if .Values.kafka.properties -}}
{{ include "beam-rtls.name" . }}-kafka
{{- end -}}
{{- end }}

{{- define "beam-rtls.claim" -}}
{{- with .Values.storage.persistentVolumeClaim -}}
{{- if .existingClaim -}}{{ .existingClaim }}{{- else if .create -}}{{ include "beam-rtls.name" $ }}{{- end -}}
{{- end -}}
{{- end }}

{{- define "beam-rtls.storage" -}}
{{- if include "beam-rtls.claim" . -}}file:///flink-data{{- else -}}{{ .Values.storage.uri | trimSuffix "/" }}{{- end -}}
{{- end }}

{{- define "beam-rtls.image" -}}
{{ .repository }}:{{ .tag }}
{{- end }}

{{- define "beam-rtls.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "beam-rtls.containerSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* The users of the two images. */}}
{{- define "beam-rtls.flinkUser" -}}9999{{- end }}
{{- define "beam-rtls.workerUser" -}}10001{{- end }}

{{- define "beam-rtls.kafkaPorts" -}}
{{- $ports := .Values.networkPolicy.kafkaPorts -}}
{{- if not $ports -}}
{{- $servers := printf "%s,%s" .Values.kafka.bootstrapServers .Values.kafka.outputBootstrapServers -}}
{{- range regexFindAll ":[0-9]+(,|$)" $servers -1 -}}
{{- $ports = append $ports (trimAll ":," . | int) -}}
{{- end -}}
{{- end -}}
{{ $ports | uniq | toJson }}
{{- end }}

{{/* What has to be given, and what does not go together; shapes and ranges are in values.schema.json. */}}
{{- define "beam-rtls.check" -}}
{{- $v := .Values -}}
{{- $claim := $v.storage.persistentVolumeClaim -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "beam-rtls.name" .)) -}}
{{- fail (printf "release name %q: a FlinkDeployment's name starts with a letter" .Release.Name) -}}
{{- end -}}
{{- if not $v.kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is not given: name the brokers, as kafka.bootstrapServers=broker:9092" -}}
{{- end -}}
{{- if and $v.kafka.existingSecret $v.kafka.properties -}}
{{- fail "kafka.existingSecret and kafka.properties are both given: give one" -}}
{{- end -}}
{{- if and $v.site.map $v.site.existingConfigMap -}}
{{- fail "site.map and site.existingConfigMap are both given: give one" -}}
{{- else if not (or $v.site.map $v.site.existingConfigMap) -}}
{{- fail "there is no site map: give site.map (--set-file site.map=site.yaml) or site.existingConfigMap" -}}
{{- end -}}
{{- $places := compact (list $v.storage.uri $claim.existingClaim (ternary "create" "" $claim.create)) -}}
{{- if not $places -}}
{{- fail "there is no place for checkpoints: give storage.uri, or storage.persistentVolumeClaim.create or .existingClaim" -}}
{{- else if gt (len $places) 1 -}}
{{- fail "storage.uri, storage.persistentVolumeClaim.create and .existingClaim: give one of them" -}}
{{- end -}}
{{- if and (eq $v.job.upgradeMode "last-state") (not $v.highAvailability.enabled) -}}
{{- fail "job.upgradeMode last-state needs highAvailability.enabled" -}}
{{- end -}}
{{- if and (gt (int $v.jobManager.replicas) 1) (not $v.highAvailability.enabled) -}}
{{- fail "jobManager.replicas of more than 1 need highAvailability.enabled" -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the account that Flink runs as" -}}
{{- end -}}
{{- end }}

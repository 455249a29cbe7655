{{/* What the chart stands for: nobody overrides it in silence. */}}
{{- define "beam-rtls.fixedConfiguration" -}}
{{- $storage := include "beam-rtls.storage" . -}}
taskmanager.numberOfTaskSlots: {{ .Values.taskManager.slots | quote }}
execution.checkpointing.interval: {{ .Values.checkpoints.interval | quote }}
execution.checkpointing.mode: EXACTLY_ONCE
execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
execution.buffer-timeout.interval: {{ .Values.bufferTimeout | quote }}
state.backend.type: {{ .Values.checkpoints.stateBackend }}
state.backend.incremental: {{ eq .Values.checkpoints.stateBackend "rocksdb" | quote }}
state.checkpoints.dir: {{ $storage }}/checkpoints
state.savepoints.dir: {{ $storage }}/savepoints
restart-strategy.type: exponential-delay
# What Flink's own configuration file opens to it on Java 17; the operator's file, which takes its place, does not.
env.java.default-opts.all: {{ include "beam-rtls.openedToFlink" . }}
# Jobs come and go by the operator alone.
web.submit.enable: "false"
web.cancel.enable: "false"
# Ports that would be any port; the network policies name them.
taskmanager.data.port: "6121"
metrics.internal.query-service.port: "6125"
{{- if .Values.metrics.enabled }}
metrics.reporter.prom.factory.class: org.apache.flink.metrics.prometheus.PrometheusReporterFactory
metrics.reporter.prom.port: {{ .Values.metrics.port | int | quote }}
{{- end }}
{{- if .Values.highAvailability.enabled }}
high-availability.type: kubernetes
high-availability.storageDir: {{ $storage }}/ha
{{- end }}
{{- end }}

{{- define "beam-rtls.openedToFlink" -}}
{{- $base := list "java.lang" "java.lang.reflect" "java.net" "java.io" "java.nio" "sun.nio.ch" "java.text" "java.time" -}}
{{- $base = concat $base (list "java.util" "java.util.concurrent" "java.util.concurrent.atomic" "java.util.concurrent.locks") -}}
--add-exports=java.base/sun.net.util=ALL-UNNAMED --add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED
{{- range list "api" "file" "parser" "tree" "util" }} --add-exports=jdk.compiler/com.sun.tools.javac.{{ . }}=ALL-UNNAMED{{ end }}
{{- " --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED" }}
{{- range $base }} --add-opens=java.base/{{ . }}=ALL-UNNAMED{{ end }}
{{- end }}

{{/* What flinkConfiguration may set otherwise. */}}
{{- define "beam-rtls.defaultConfiguration" -}}
state.checkpoints.num-retained: "3"
restart-strategy.exponential-delay.initial-backoff: 1 s
restart-strategy.exponential-delay.max-backoff: 30 s
restart-strategy.exponential-delay.reset-backoff-threshold: 10 min
{{- end }}

{{/* More keys that are not to be given, and what to do instead: old names of the above, and what follows from values. */}}
{{- define "beam-rtls.refusedKeys" -}}
parallelism.default: use job.parallelism
state.backend: use checkpoints.stateBackend
state.checkpoint-storage: the chart sets where checkpoints go, see storage
execution.buffer-timeout: use bufferTimeout
restart-strategy: the chart sets it
high-availability: use highAvailability.enabled
high-availability.type: use highAvailability.enabled
high-availability.storageDir: use storage
high-availability.cluster-id: the operator sets it
high-availability.jobmanager.port: the network policies name Flink's ports
execution.savepoint.path: use job.initialSavepointPath
execution.savepoint.ignore-unclaimed-state: state that finds no place would be lost
jobmanager.memory.process.size: use jobManager.resource
taskmanager.memory.process.size: use taskManager.resource
jobmanager.rpc.port: the network policies name Flink's ports
taskmanager.rpc.port: the network policies name Flink's ports
blob.server.port: the network policies name Flink's ports
rest.port: the network policies name Flink's ports
rest.bind-port: the network policies name Flink's ports
pipeline.jars: the job is in the image
kubernetes.namespace: the operator sets it
kubernetes.cluster-id: the operator sets it
kubernetes.service-account: use serviceAccount
kubernetes.jobmanager.service-account: use serviceAccount
kubernetes.taskmanager.service-account: use serviceAccount
kubernetes.container.image.ref: use images.flink
kubernetes.container.image: use images.flink
kubernetes.pod-template-file.default: it would replace the pods of the chart
kubernetes.pod-template-file.jobmanager: it would replace the pods of the chart
kubernetes.pod-template-file.taskmanager: it would replace the pods of the chart
kubernetes.pod-template-file: it would replace the pods of the chart
{{- end }}

{{- define "beam-rtls.flinkConfiguration" -}}
{{- $fixed := include "beam-rtls.fixedConfiguration" . | fromYaml -}}
{{- $refused := include "beam-rtls.refusedKeys" . | fromYaml -}}
{{- range $key, $value := .Values.flinkConfiguration -}}
{{- if hasKey $refused $key -}}
{{- fail (printf "flinkConfiguration.%s cannot be given: %s" $key (get $refused $key)) -}}
{{- else if hasKey $fixed $key -}}
{{- fail (printf "flinkConfiguration.%s cannot be given: the chart sets it, to %q" $key (get $fixed $key)) -}}
{{- end -}}
{{- end -}}
{{- $default := include "beam-rtls.defaultConfiguration" . | fromYaml -}}
{{ merge $fixed .Values.flinkConfiguration $default | toYaml }}
{{- end }}

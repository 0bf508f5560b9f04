{{- /* Resources of RabbitMQ's messaging topology operator. */ -}}

{{- define "recording-worker.prefix" -}}
{{- dig "WORKER_NAME_PREFIX" "recording" (.Values.settings | default dict) }}
{{- end }}

{{- define "recording-worker.delays" -}}
{{- dig "WORKER_RETRY_DELAYS_SECONDS" "5,30,120,600" (.Values.settings | default dict) }}
{{- end }}

{{- /* Permissions of a user when all exchanges and queues exist. */ -}}
{{- define "recording-worker.permissions" -}}
{{- $prefix := include "recording-worker.prefix" . | regexQuoteMeta }}
configure: "^$"
write: {{ printf "^(amq\\.default|%s\\.(status|files|results|dead-letter))$" $prefix | squote }}
read: {{ printf "^%s\\.commands(\\.unanswered)?$" $prefix | squote }}
{{- end }}

{{- /* A valid Kubernetes name for a name that may not be one. */ -}}
{{- define "recording-worker.topologyName" -}}
{{- $full := include "recording-worker.fullname" (index . 0) }}
{{- $name := index . 1 }}
{{- printf "%s-%s-%s" $full (regexReplaceAll "[^a-z0-9-]+" (lower $name) "-") (sha256sum $name | trunc 6) }}
{{- end }}

{{- define "recording-worker.queue" -}}
{{- $spec := dict "name" (index . 1) "type" "quorum" "durable" true "autoDelete" false "arguments" (index . 2) }}
{{- include "recording-worker.rabbitmq" (list (index . 0) "Queue" (index . 1) $spec) }}
{{- end }}

{{- define "recording-worker.binding" -}}
{{- $spec := dict "source" (index . 1) "destination" (index . 2) "destinationType" "queue" "routingKey" "#" }}
{{- include "recording-worker.rabbitmq" (list (index . 0) "Binding" (printf "%s.binding" (index . 2)) $spec) }}
{{- end }}

{{- define "recording-worker.rabbitmq" -}}
{{- $root := index . 0 }}
{{- $kind := index . 1 }}
{{- with $root.Values.topologyOperator }}
---
apiVersion: rabbitmq.com/v1beta1
kind: {{ $kind }}
metadata:
  name: {{ include "recording-worker.topologyName" (list $root (index $ 2)) }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "recording-worker.labels" $root | nindent 4 }}
  {{- if not (has $kind (list "User" "Permission")) }}
  annotations:
    # Deleting a queue would delete all commands and dead letters in it.
    helm.sh/resource-policy: keep
  {{- end }}
spec:
  rabbitmqClusterReference:
    {{- if .cluster.name }}
    name: {{ .cluster.name | quote }}
    {{- with .cluster.namespace }}
    namespace: {{ . | quote }}
    {{- end }}
    {{- else }}
    connectionSecret:
      name: {{ .cluster.connectionSecret | quote }}
    {{- end }}
  {{- if ne $kind "User" }}
  vhost: {{ .vhost | quote }}
  {{- end }}
  {{- toYaml (index $ 3) | nindent 2 }}
{{ end }}
{{- end }}

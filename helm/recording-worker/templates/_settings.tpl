{{- /* The worker's settings: the ConfigMap, and the paths of the files with secrets. */ -}}

{{- define "recording-worker.settings" -}}
{{- $own := dict "HTTP_PORT" .Values.service.port "WORKER_SHUTDOWN_DELAY_SECONDS" .Values.shutdownDelaySeconds }}
{{- if eq .Values.database.engine "sqlite" }}
{{- $_ := set $own "WORKER_SHUTDOWN_DELAY_SECONDS" 0 }}
{{- $_ := set $own "DATABASE_URL" "sqlite:////var/lib/recording-worker/state.db" }}
{{- end }}
{{- with .Values.realtimekit }}
{{- if .accountId }}{{ $_ := set $own "REALTIMEKIT_ACCOUNT_ID" .accountId }}{{ end }}
{{- if .appId }}{{ $_ := set $own "REALTIMEKIT_APP_ID" .appId }}{{ end }}
{{- end }}
{{- with .Values.webhooks.host }}
{{- $_ := set $own "WORKER_PUBLIC_URL" (printf "https://%s" .) }}
{{- end }}
{{- if .Values.topologyOperator.enabled }}
{{- $_ := set $own "WORKER_TOPOLOGY" "verify" }}
{{- end }}
{{- with .Values.proxy }}
{{- if .url }}{{ $_ := set $own "HTTPS_PROXY" .url }}{{ end }}
{{- if .noProxy }}{{ $_ := set $own "NO_PROXY" (join "," .noProxy) }}{{ end }}
{{- end }}
{{- with .Values.archive }}
{{- if .url }}
{{- $_ := set $own "WORKER_ARCHIVE_URL" .url }}
{{- $_ := set $own "WORKER_ARCHIVE_CONCURRENCY" (int .concurrency) }}
{{- if .key }}{{ $_ := set $own "WORKER_ARCHIVE_KEY" .key }}{{ end }}
{{- if .manifestKey }}{{ $_ := set $own "WORKER_ARCHIVE_MANIFEST_KEY" .manifestKey }}{{ end }}
{{- if .maxBytesPerSecond }}{{ $_ := set $own "WORKER_ARCHIVE_MAX_BYTES_PER_SECOND" (int64 .maxBytesPerSecond) }}{{ end }}
{{- range $name, $value := .variables }}{{ $_ := set $own $name $value }}{{ end }}
{{- end }}
{{- end }}
{{- if include "recording-worker.caBundle" . }}
{{- $_ := set $own "SSL_CERT_FILE" "/run/ca-bundle/ca.crt" }}
{{- end }}
{{- range $name, $value := merge (deepCopy (.Values.settings | default dict)) $own }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ include "recording-worker.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A number in decimal notation: Helm would write 1048576 as 1.048576e+06. */ -}}
{{- define "recording-worker.text" -}}
{{- if kindIs "float64" . }}{{ regexReplaceAll "\\.?0+$" (printf "%.6f" .) "" }}
{{- else }}{{ toString . }}
{{- end }}
{{- end }}

{{- define "recording-worker.shutdownSeconds" -}}
{{- $settings := include "recording-worker.settings" . | fromYaml }}
{{- $delay := get $settings "WORKER_SHUTDOWN_DELAY_SECONDS" | float64 }}
{{- $seconds := dig "WORKER_SHUTDOWN_SECONDS" "30" $settings | float64 }}
{{- add (ceil (addf $delay $seconds)) .Values.shutdownMarginSeconds }}
{{- end }}

{{- /* The apps file, with the worker's field names. */ -}}
{{- define "recording-worker.appsFile" -}}
{{- $apps := dict }}
{{- range $name, $app := .Values.apps }}
{{- $fields := dict "account_id" $app.accountId "app_id" $app.appId }}
{{- $mounted := printf "/run/secrets/recording-worker/apps/%s/api-token" $name }}
{{- $_ := set $fields "api_token_file" (default $mounted $app.tokenFile) }}
{{- with $app.baseUrl }}{{ $_ := set $fields "base_url" . }}{{ end }}
{{- with $app.webhookKeyUrl }}{{ $_ := set $fields "webhook_key_url" . }}{{ end }}
{{- with $app.apiBudget }}{{ $_ := set $fields "api_budget" . }}{{ end }}
{{- with $app.publicUrl }}{{ $_ := set $fields "public_url" . }}{{ end }}
{{- if hasKey $app "followAll" }}{{ $_ := set $fields "follow_all" $app.followAll }}{{ end }}
{{- $_ := set $apps $name $fields }}
{{- end }}
{{- toPrettyJson $apps }}
{{- end }}

{{- /* Secrets are passed as paths of files, never as text. */ -}}
{{- define "recording-worker.env" -}}
{{- $v := .Values }}
{{- include "recording-worker.fileVariable" (list "AMQP_URL" $v.rabbitmq "url" "amqp-url") }}
{{- with $v.database }}
{{- if eq .engine "postgresql" }}
{{- include "recording-worker.fileVariable" (list "DATABASE_URL" . "url" "database-url") }}
{{- end }}
{{- end }}
{{- include "recording-worker.databaseTlsEnv" . }}
{{- include "recording-worker.fileVariable" (list "REALTIMEKIT_API_TOKEN" $v.realtimekit "token" "api-token") }}
{{- if $v.apps }}
- name: WORKER_APPS_FILE
  value: /etc/recording-worker/apps.json
{{- else }}
{{- include "recording-worker.fileVariable" (list "WORKER_APPS" $v.appsFile "" "apps.json") }}
{{- end }}
{{- include "recording-worker.fileVariable" (list "WORKER_STORAGE_PROFILES" $v.storageProfiles "" "storage-profiles.json") }}
{{- include "recording-worker.fileVariable" (list "OTEL_EXPORTER_OTLP_HEADERS" $v.tracing "headers" "otlp-headers") }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "recording-worker.databaseTlsEnv" -}}
{{- with .Values.database }}
{{- if and (eq .engine "postgresql") .tls.existingSecret }}
{{- $directory := "/run/secrets/recording-worker/database-tls" }}
- name: PGSSLMODE
  value: {{ .tls.mode }}
- name: PGSSLROOTCERT
  value: {{ $directory }}/ca.crt
{{- if .tls.certKey }}
- name: PGSSLCERT
  value: {{ $directory }}/tls.crt
- name: PGSSLKEY
  value: {{ $directory }}/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* NAME_FILE: the path that the values name, such as `urlFile`, or that of the mounted Secret. */ -}}
{{- define "recording-worker.fileVariable" -}}
{{- $values := index . 1 }}
{{- $path := get $values (empty (index . 2) | ternary "file" (printf "%sFile" (index . 2))) }}
{{- if $values.existingSecret }}
{{- $path = printf "/run/secrets/recording-worker/%s" (index . 3) }}
{{- end }}
{{- if $path }}
- name: {{ index . 0 }}_FILE
  value: {{ $path | quote }}
{{- end }}
{{- end }}

{{- /* One projected volume for all Secrets: Kubernetes updates its files within a minute. */ -}}
{{- define "recording-worker.secrets" -}}
{{- with .Values.rabbitmq }}
{{- include "recording-worker.secret" (list .existingSecret .urlKey "amqp-url") }}
{{- include "recording-worker.certificates" (list .tls "amqp-tls") }}
{{- end }}
{{- with .Values.database }}
{{- if eq .engine "postgresql" }}
{{- include "recording-worker.secret" (list .existingSecret .urlKey "database-url") }}
{{- include "recording-worker.certificates" (list .tls "database-tls") }}
{{- end }}
{{- end }}
{{- with .Values.realtimekit }}
{{- include "recording-worker.secret" (list .existingSecret .tokenKey "api-token") }}
{{- end }}
{{- range $name, $app := .Values.apps }}
{{- $path := printf "apps/%s/api-token" $name }}
{{- include "recording-worker.secret" (list $app.existingSecret (default "api-token" $app.tokenKey) $path) }}
{{- end }}
{{- with .Values.appsFile }}
{{- include "recording-worker.secret" (list .existingSecret .key "apps.json") }}
{{- end }}
{{- with .Values.storageProfiles }}
{{- include "recording-worker.secret" (list .existingSecret .key "storage-profiles.json") }}
{{- end }}
{{- with .Values.tracing }}
{{- include "recording-worker.secret" (list .existingSecret .headersKey "otlp-headers") }}
{{- end }}
{{- end }}

{{- define "recording-worker.secret" -}}
{{- with index . 0 }}
- secret:
    name: {{ . | quote }}
    items:
      - key: {{ index $ 1 | quote }}
        path: {{ index $ 2 | quote }}
{{- end }}
{{- end }}

{{- define "recording-worker.certificates" -}}
{{- $tls := index . 0 }}
{{- $directory := index . 1 }}
{{- if $tls.existingSecret }}
- secret:
    name: {{ $tls.existingSecret | quote }}
    items:
      - key: {{ $tls.caKey | quote }}
        path: {{ $directory }}/ca.crt
      {{- if $tls.certKey }}
      - key: {{ $tls.certKey | quote }}
        path: {{ $directory }}/tls.crt
      - key: {{ $tls.keyKey | quote }}
        path: {{ $directory }}/tls.key
      {{- end }}
{{- end }}
{{- end }}

{{- /* The path of the archive's folder, if its volume is given. */ -}}
{{- define "recording-worker.archiveFolder" -}}
{{- with .Values.archive }}
{{- if .volume }}{{ trimPrefix "file://" .url }}{{ end }}
{{- end }}
{{- end }}

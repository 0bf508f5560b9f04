{{- /* The worker's settings: the ConfigMap, and the files with secrets. */ -}}

{{- define "recording-worker.settings" -}}
{{- $own := dict "HTTP_PORT" .Values.service.port }}
{{- if eq .Values.database.engine "sqlite" }}
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
{{- range $name, $value := merge (deepCopy .Values.settings) $own }}
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
{{- $seconds := dig "WORKER_SHUTDOWN_SECONDS" 30 .Values.settings | toString | float64 }}
{{- add (ceil $seconds) .Values.shutdownMarginSeconds }}
{{- end }}

{{- /* The apps file, with the worker's field names. */ -}}
{{- define "recording-worker.appsFile" -}}
{{- $apps := dict }}
{{- range $name, $app := .Values.apps }}
{{- $fields := dict "account_id" $app.accountId "app_id" $app.appId }}
{{- $_ := set $fields "api_token_file" (printf "/run/secrets/recording-worker/apps/%s/api-token" $name) }}
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
{{- $secrets := "/run/secrets/recording-worker" }}
- name: AMQP_URL_FILE
  value: {{ $secrets }}/amqp-url
{{- if eq .Values.database.engine "postgresql" }}
- name: DATABASE_URL_FILE
  value: {{ $secrets }}/database-url
{{- end }}
{{- with .Values.database.tls }}
{{- if .existingSecret }}
- name: PGSSLMODE
  value: {{ .mode }}
- name: PGSSLROOTCERT
  value: {{ $secrets }}/database-tls/ca.crt
{{- if .certKey }}
- name: PGSSLCERT
  value: {{ $secrets }}/database-tls/tls.crt
- name: PGSSLKEY
  value: {{ $secrets }}/database-tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.realtimekit.existingSecret }}
- name: REALTIMEKIT_API_TOKEN_FILE
  value: {{ $secrets }}/api-token
{{- end }}
{{- if .Values.apps }}
- name: WORKER_APPS_FILE
  value: /etc/recording-worker/apps.json
{{- else if .Values.appsFile.existingSecret }}
- name: WORKER_APPS_FILE
  value: {{ $secrets }}/apps.json
{{- end }}
{{- if .Values.storageProfiles.existingSecret }}
- name: WORKER_STORAGE_PROFILES_FILE
  value: {{ $secrets }}/storage-profiles.json
{{- end }}
{{- if .Values.tracing.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS_FILE
  value: {{ $secrets }}/otlp-headers
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* One projected volume for all Secrets: Kubernetes updates its files within a minute. */ -}}
{{- define "recording-worker.secrets" -}}
{{- with .Values.rabbitmq }}
{{ include "recording-worker.secret" (list .existingSecret .urlKey "amqp-url") }}
{{- include "recording-worker.certificates" (list .tls "amqp-tls") }}
{{- end }}
{{- with .Values.database }}
{{- if eq .engine "postgresql" }}
{{ include "recording-worker.secret" (list .existingSecret .urlKey "database-url") }}
{{- include "recording-worker.certificates" (list .tls "database-tls") }}
{{- end }}
{{- end }}
{{- with .Values.realtimekit }}
{{- if .existingSecret }}
{{ include "recording-worker.secret" (list .existingSecret .tokenKey "api-token") }}
{{- end }}
{{- end }}
{{- range $name, $app := .Values.apps }}
{{- $path := printf "apps/%s/api-token" $name }}
{{ include "recording-worker.secret" (list $app.existingSecret (default "api-token" $app.tokenKey) $path) }}
{{- end }}
{{- with .Values.appsFile }}
{{- if .existingSecret }}
{{ include "recording-worker.secret" (list .existingSecret .key "apps.json") }}
{{- end }}
{{- end }}
{{- with .Values.storageProfiles }}
{{- if .existingSecret }}
{{ include "recording-worker.secret" (list .existingSecret .key "storage-profiles.json") }}
{{- end }}
{{- end }}
{{- with .Values.tracing }}
{{- if .existingSecret }}
{{ include "recording-worker.secret" (list .existingSecret .headersKey "otlp-headers") }}
{{- end }}
{{- end }}
{{- end }}

{{- define "recording-worker.secret" -}}
- secret:
    name: {{ index . 0 }}
    items:
      - key: {{ index . 1 }}
        path: {{ index . 2 }}
{{- end }}

{{- define "recording-worker.certificates" -}}
{{- $tls := index . 0 }}
{{- $directory := index . 1 }}
{{- if $tls.existingSecret }}
- secret:
    name: {{ $tls.existingSecret }}
    items:
      - key: {{ $tls.caKey }}
        path: {{ $directory }}/ca.crt
      {{- if $tls.certKey }}
      - key: {{ $tls.certKey }}
        path: {{ $directory }}/tls.crt
      - key: {{ $tls.keyKey }}
        path: {{ $directory }}/tls.key
      {{- end }}
{{- end }}
{{- end }}

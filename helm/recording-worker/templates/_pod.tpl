{{- /* The pod of the Deployment and of the StatefulSet. */ -}}

{{- define "recording-worker.pod" -}}
metadata:
  labels:
    {{- include "recording-worker.labelsWith" (list . .Values.podLabels) | nindent 4 }}
  annotations:
    {{- include "recording-worker.podAnnotations" . | nindent 4 }}
spec:
  {{- include "recording-worker.podRules" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "recording-worker.shutdownSeconds" . }}
  {{- with .Values.topologySpread }}
  {{- if .keys }}
  topologySpreadConstraints:
    {{- range .keys }}
    - topologyKey: {{ . | quote }}
      maxSkew: 1
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "recording-worker.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- end }}
  {{- include "recording-worker.initContainers" . | nindent 2 }}
  containers:
    - name: worker
      {{- include "recording-worker.container" . | nindent 6 }}
      command: [recording-worker, run]
      ports:
        - name: http
          containerPort: {{ .Values.service.port }}
      startupProbe:
        httpGet: {path: /livez, port: http}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: http}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      volumeMounts:
        {{- include "recording-worker.mounts" . | trim | nindent 8 }}
        {{- if eq .Values.database.engine "sqlite" }}
        - name: state
          mountPath: /var/lib/recording-worker
        {{- end }}
        {{- with include "recording-worker.archiveFolder" . }}
        - name: archive
          mountPath: {{ . | quote }}
        {{- end }}
    {{- with .Values.sidecars }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "recording-worker.volumes" . | trim | nindent 4 }}
    {{- if include "recording-worker.archiveFolder" . }}
    - name: archive
      {{- toYaml .Values.archive.volume | nindent 6 }}
    {{- end }}
{{- end }}

{{- define "recording-worker.podAnnotations" -}}
{{- $settings := print (include "recording-worker.settings" .) (include "recording-worker.appsFile" .) }}
{{- $own := dict "checksum/settings" (sha256sum $settings) }}
{{- $own := merge $own (.Values.podAnnotations | default dict) (dict "kubectl.kubernetes.io/default-container" "worker") }}
{{- if .Values.metrics.annotations }}
{{- $port := toString .Values.service.port }}
{{- $own = merge $own (dict "prometheus.io/scrape" "true" "prometheus.io/path" "/metrics" "prometheus.io/port" $port) }}
{{- end }}
{{- toYaml $own }}
{{- end }}

{{- /* Containers that start before the only other container of every pod. */ -}}
{{- define "recording-worker.initContainers" -}}
{{- with .Values.initContainers }}
initContainers:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Identity, names and scheduling of every pod of the chart. */ -}}
{{- define "recording-worker.podRules" -}}
serviceAccountName: {{ include "recording-worker.serviceAccountName" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with include "recording-worker.pullSecrets" . }}
imagePullSecrets:
  {{- trim . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "recording-worker.container" -}}
image: {{ include "recording-worker.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
envFrom:
  - configMapRef:
      name: {{ include "recording-worker.fullname" . | quote }}
  {{- if .Values.archive.url }}
  {{- with .Values.archive.existingSecret }}
  - secretRef:
      name: {{ . | quote }}
  {{- end }}
  {{- end }}
env:
  {{- include "recording-worker.env" . | trim | nindent 2 }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "recording-worker.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if include "recording-worker.secrets" . | trim }}
- name: secrets
  mountPath: /run/secrets/recording-worker
  readOnly: true
{{- end }}
{{- if .Values.apps }}
- name: apps
  mountPath: /etc/recording-worker
  readOnly: true
{{- end }}
{{- include "recording-worker.sharedMounts" . }}
{{- end }}

{{- /* Mounts of every container of the chart. */ -}}
{{- define "recording-worker.sharedMounts" -}}
{{- if include "recording-worker.caBundle" . }}
- name: ca-bundle
  mountPath: /run/ca-bundle
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "recording-worker.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with include "recording-worker.secrets" . | trim }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- if .Values.apps }}
- name: apps
  configMap:
    name: {{ include "recording-worker.fullname" . }}-apps
{{- end }}
{{- include "recording-worker.sharedVolumes" . }}
{{- end }}

{{- define "recording-worker.sharedVolumes" -}}
{{- with include "recording-worker.caBundle" . }}
- name: ca-bundle
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "recording-worker.caBundle" -}}
{{- with .Values.caBundle }}
{{- $items := list (dict "key" .key "path" "ca.crt") }}
{{- if .existingConfigMap }}
{{- dict "configMap" (dict "name" .existingConfigMap "items" $items) | toYaml }}
{{- else if .existingSecret }}
{{- dict "secret" (dict "secretName" .existingSecret "items" $items) | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The pod of the Deployment and of the StatefulSet. */ -}}

{{- define "recording-worker.pod" -}}
metadata:
  labels:
    {{- include "recording-worker.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/settings: {{ print (include "recording-worker.settings" .) (include "recording-worker.appsFile" .) | sha256sum }}
    {{- if .Values.metrics.annotations }}
    prometheus.io/scrape: "true"
    prometheus.io/path: /metrics
    prometheus.io/port: {{ .Values.service.port | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "recording-worker.podRules" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "recording-worker.shutdownSeconds" . }}
  {{- with .Values.topologySpread }}
  {{- if .keys }}
  topologySpreadConstraints:
    {{- range .keys }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "recording-worker.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- end }}
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
        {{- include "recording-worker.mounts" . | nindent 8 }}
        {{- if eq .Values.database.engine "sqlite" }}
        - name: state
          mountPath: /var/lib/recording-worker
        {{- end }}
  volumes:
    {{- include "recording-worker.volumes" . | nindent 4 }}
{{- end }}

{{- /* Identity and scheduling of a pod, shared by the worker and the pod of `helm test`. */ -}}
{{- define "recording-worker.podRules" -}}
serviceAccountName: {{ include "recording-worker.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
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
      name: {{ include "recording-worker.fullname" . }}
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
- name: secrets
  mountPath: /run/secrets/recording-worker
  readOnly: true
{{- if .Values.apps }}
- name: apps
  mountPath: /etc/recording-worker
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
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "recording-worker.secrets" . | trim | nindent 6 }}
{{- if .Values.apps }}
- name: apps
  configMap:
    name: {{ include "recording-worker.fullname" . }}-apps
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

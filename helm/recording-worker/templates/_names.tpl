{{- /* Names and labels of all objects. */ -}}

{{- define "recording-worker.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Selectors can never change: no version, and no labels of the user. */ -}}
{{- define "recording-worker.instance" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "recording-worker.selector" -}}
{{ include "recording-worker.instance" . }}
app.kubernetes.io/component: worker
{{- end }}

{{- define "recording-worker.metadata" -}}
name: {{ include "recording-worker.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "recording-worker.labels" . | nindent 2 }}
{{- end }}

{{- define "recording-worker.labels" -}}
{{ include "recording-worker.selector" . }}
{{ include "recording-worker.provenance" . }}
{{- end }}

{{- define "recording-worker.provenance" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "recording-worker.serviceAccountName" -}}
{{- if .Values.serviceAccount.name }}
{{- .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create }}
{{- include "recording-worker.fullname" . }}
{{- else }}default
{{- end }}
{{- end }}

{{- define "recording-worker.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

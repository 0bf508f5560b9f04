{{- /* Names, labels and the image of all objects. */ -}}

{{- /* The chart's name, or its alias in a parent chart: `meetingRecorder` becomes `meeting-recorder`. */ -}}
{{- define "recording-worker.name" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $name = regexReplaceAll "([a-z0-9])([A-Z])" $name "${1}-${2}" }}
{{- regexReplaceAll "[^a-z0-9-]+" (lower $name) "-" | trunc 52 | trimAll "-" }}
{{- end }}

{{- /* The name of a Service begins with a letter and has no dots. A long name keeps a hash of the whole. */ -}}
{{- define "recording-worker.fullname" -}}
{{- $full := .Values.fullnameOverride }}
{{- if not $full }}
{{- $name := include "recording-worker.name" . }}
{{- $release := replace "." "-" .Release.Name }}
{{- $full = contains $name $release | ternary $release (printf "%s-%s" $release $name) }}
{{- end }}
{{- if regexMatch "^[^a-z]" $full }}
{{- $full = printf "r-%s" $full }}
{{- end }}
{{- if gt (len $full) 52 }}
{{- $full = printf "%s-%s" ($full | trunc 45 | trimSuffix "-") (sha256sum $full | trunc 6) }}
{{- end }}
{{- $full }}
{{- end }}

{{- /* Selectors can never change: no version, and no labels of the user. */ -}}
{{- define "recording-worker.instance" -}}
app.kubernetes.io/name: {{ include "recording-worker.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "recording-worker.selector" -}}
{{ include "recording-worker.instance" . }}
app.kubernetes.io/component: worker
{{- end }}

{{- define "recording-worker.metadata" -}}
name: {{ include "recording-worker.fullname" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "recording-worker.labels" . | nindent 2 }}
{{- end }}

{{- define "recording-worker.labels" -}}
{{- include "recording-worker.labelsWith" (list . dict) }}
{{- end }}

{{- /* Labels of an object with labels of its own. The labels of the selector cannot be replaced. */ -}}
{{- define "recording-worker.labelsWith" -}}
{{- $own := include "recording-worker.selector" (index . 0) | fromYaml }}
{{- merge $own (index . 1 | default dict) (include "recording-worker.provenance" (index . 0) | fromYaml) | toYaml }}
{{- end }}

{{- define "recording-worker.provenance" -}}
{{- $own := dict "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service }}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- merge $own (dict "helm.sh/chart" $chart) (.Values.commonLabels | default dict) | toYaml }}
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
{{- $registry := default .Values.image.registry (.Values.global | default dict).imageRegistry }}
{{- with .Values.image }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Pull secrets of the chart and of a parent chart. A plain name is as good as `{name: …}`. */ -}}
{{- define "recording-worker.pullSecrets" -}}
{{- $names := list }}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global | default dict).imagePullSecrets | default list) }}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) }}
{{- end }}
{{- range uniq $names }}
- name: {{ . | quote }}
{{- end }}
{{- end }}

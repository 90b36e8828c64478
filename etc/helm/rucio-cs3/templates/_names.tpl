{{- define "rucio-cs3.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- /* The next ones are of (list $ COMPONENT). */}}
{{- define "rucio-cs3.name" -}}
{{ include "rucio-cs3.fullname" (first .) }}-{{ last . }}
{{- end }}

{{- define "rucio-cs3.selector" -}}
app.kubernetes.io/name: {{ (first .).Chart.Name }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "rucio-cs3.metadata" -}}
name: {{ include "rucio-cs3.name" . }}
labels:
  {{- include "rucio-cs3.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
  helm.sh/chart: {{ (first .).Chart.Name }}-{{ (first .).Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "rucio-cs3.image" -}}
{{- $image := first . -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (last .) }}
{{- end -}}
{{- end }}

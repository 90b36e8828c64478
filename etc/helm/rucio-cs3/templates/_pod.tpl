{{- /* For every pod. Service links would put RUCIO_CS3_… into its environment, which are settings' names. */}}
{{- define "rucio-cs3.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- range $id, $value := .Values.securityContext }}
  {{- if not (kindIs "invalid" $value) }}
  {{ $id }}: {{ int64 $value }}
  {{- end }}
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "rucio-cs3.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* Of (list PORT TCP?): kubelet asks /health, or only connects. */}}
{{- define "rucio-cs3.probes" -}}
{{- $ask := dict "httpGet" (dict "path" "/health" "port" (first .) "scheme" "HTTPS") }}
{{- if eq (last .) "tcp" }}
{{- $ask = dict "tcpSocket" (dict "port" (first .)) }}
{{- end }}
startupProbe: {{- toYaml (merge (dict "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 60) $ask) | nindent 2 }}
livenessProbe: {{- toYaml (merge (dict "periodSeconds" 10 "timeoutSeconds" 10 "failureThreshold" 6) $ask) | nindent 2 }}
readinessProbe: {{- toYaml (merge (dict "periodSeconds" 5 "timeoutSeconds" 5 "failureThreshold" 2) $ask) | nindent 2 }}
{{- end }}

{{- /* One volume of all that settings name: of {kind/NAME: [KEY]}. Its group may read, others may not. */}}
{{- define "rucio-cs3.files" -}}
projected:
  defaultMode: 0440
  sources:
    {{- range $id, $keys := . }}
    {{- $parts := splitn "/" 2 $id }}
    - {{ $parts._0 }}:
        name: {{ $parts._1 }}
        items:
          {{- range $keys }}
          - {key: {{ . | quote }}, path: {{ printf "%s/%s" $id . | quote }}}
          {{- end }}
    {{- end }}
{{- end }}

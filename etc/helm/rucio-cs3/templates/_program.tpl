{{- /*
What the mover and the broker differ in, of (list $ COMPONENT), as YAML: `toml` is the settings file, `files` what is
mounted for it, `args` how it is started, `ports` where it listens.
*/}}
{{- define "rucio-cs3.program" -}}
{{- $top := first . }}
{{- $name := last . }}
{{- $values := index $top.Values $name }}
{{- $settings := deepCopy $values.settings }}
{{- if and $top.Values.demo.enabled (eq $name "mover") }}
{{- $_ := set $settings "sites" (merge ($settings.sites | default dict) (include "rucio-cs3.demo-sites" $top | fromYaml)) }}
{{- end }}
{{- $files := dict }}
{{- $mounted := dict "where" (printf "%s.tls" $name) "files" $files }}
{{- if not $values.tls.existingSecret }}
{{- fail (printf "%s.tls.existingSecret: name a Secret of type kubernetes.io/tls, because the %s serves by TLS only" $name $name) }}
{{- end }}
{{- $cert := include "rucio-cs3.mounted" (merge (dict "of" (dict "secret" $values.tls.existingSecret "key" "tls.crt")) $mounted) }}
{{- $key := include "rucio-cs3.mounted" (merge (dict "of" (dict "secret" $values.tls.existingSecret "key" "tls.key")) $mounted) }}
{{- include "rucio-cs3.resolve" (dict "table" $settings "where" (printf "%s.settings" $name) "files" $files) }}
{{- include (printf "rucio-cs3.check-%s" $name) (list $top.Values $settings) }}
{{- if eq $name "mover" }}
{{- $database := include "rucio-cs3.database" (dict "database" $values.database "files" $files) }}
{{- $settings = merge $settings (dict "listen" (printf "%s:8446" $top.Values.listenHost) "tls_cert" $cert "tls_key" $key "database" $database) }}
args: [mover, --config, /etc/rucio-cs3/mover.toml]
ports: {https: 8446, links: 8449}
{{- else }}
args: [broker, --config, /etc/rucio-cs3/broker.toml, --bind, {{ printf "%s:8443" $top.Values.listenHost | quote }}, --tls-cert, {{ $cert }}, --tls-key, {{ $key }}, --threads, {{ $values.threads | quote }}]
ports: {https: 8443}
{{- end }}
toml: {{ toToml $settings | toJson }}
files: {{ toJson $files }}
{{- end }}

{{- define "rucio-cs3.check-mover" -}}
{{- $mover := (first .).mover }}
{{- $server := $mover.database.postgresql }}
{{- if not (last .).callers }}
{{- fail "mover.settings.callers: say who may ask: rucio, with bearer_file, subjects or issuer" }}
{{- end }}
{{- if not (last .).sites }}
{{- fail "mover.settings.sites: there are none; add one, with its gateway and a login" }}
{{- end }}
{{- if and (gt (int $mover.replicas) 1) (not $server.host) }}
{{- fail (printf "mover.replicas: %d movers cannot share an SQLite file; set mover.database.postgresql" (int $mover.replicas)) }}
{{- end }}
{{- if and $server.host (not $server.existingSecret) }}
{{- fail "mover.database.postgresql.existingSecret: name a Secret that has the user's name and password" }}
{{- end }}
{{- if and $server.host (hasPrefix "verify" $server.sslmode) (not $server.ca) }}
{{- fail (printf "mover.database.postgresql.ca: sslmode %s needs its authority: {secret: NAME, key: KEY}" $server.sslmode) }}
{{- end }}
{{- end }}

{{- define "rucio-cs3.check-broker" -}}
{{- if not (last .).rucio }}
{{- fail "broker.settings.rucio: say which Rucio: {host: https://rucio.example.org}" }}
{{- end }}
{{- if not (last .).sites }}
{{- fail "broker.settings.sites: there are none; add one, with machine_secret_file and accounts" }}
{{- end }}
{{- end }}

{{- /* The sites of the demo, as the mover's settings have them. */}}
{{- define "rucio-cs3.demo-sites" -}}
{{- range $site := .Values.demo.sites }}
{{ upper $site }}:
  gateway: {{ include "rucio-cs3.name" (list $ $site) }}:19000
  tls: false
  username: rucio
  machine_secret_file: {secret: {{ include "rucio-cs3.demo-secret" $ }}, key: machine-secret}
{{- end }}
{{- end }}

{{- define "rucio-cs3.demo-secret" -}}
{{- required "demo.existingSecret: name a Secret with keys jwt-secret, transfer-secret, machine-secret and password" .Values.demo.existingSecret }}
{{- end }}

{{- /* What somebody shows to a service, {secret: NAME, key: KEY} as JSON, of (list WHERE REFERENCE WHO REMEDY). */}}
{{- define "rucio-cs3.shown" -}}
{{- $where := index . 0 }}
{{- $file := index . 1 }}
{{- if not (and (kindIs "map" $file) (hasKey ($file | default dict) "secret")) }}
{{- fail (printf "%s: %s has nothing to show; set %s: {secret: NAME, key: KEY}" $where (index . 2) (index . 3)) }}
{{- end }}
{{- toJson $file }}
{{- end }}

{{- /* A caller's bearer, of (list $ CALLER WHERE WHO). */}}
{{- define "rucio-cs3.bearer" -}}
{{- $callers := (first .).Values.mover.settings.callers | default dict }}
{{- $caller := index . 1 }}
{{- $remedy := printf "it to the name of a caller, and mover.settings.callers.%s.bearer_file" ($caller | default "NAME") }}
{{- include "rucio-cs3.shown" (list (index . 2) (get $callers $caller | default dict).bearer_file (index . 3) $remedy) }}
{{- end }}

{{- define "rucio-cs3.metrics-token" -}}
{{- if .Values.broker.settings.behind_proxy }}
{{- fail "broker.serviceMonitor: Prometheus comes past the proxy, and is refused with broker.settings.behind_proxy" }}
{{- end }}
{{- $metrics := .Values.broker.settings.metrics | default dict }}
{{- include "rucio-cs3.shown" (list "broker.serviceMonitor" $metrics.token_file "Prometheus" "broker.settings.metrics.token_file") }}
{{- end }}

{{- define "rucio-cs3.programs" -}}
{{- range $name := list "mover" "broker" }}
{{- if (index $.Values $name).enabled }}
- {{ $name }}
{{- end }}
{{- end }}
{{- end }}

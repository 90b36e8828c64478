{{- /*
What is to be mounted is kept in `files`: by kind/NAME, as secret/cernbox, the keys.
*/}}
{{- define "rucio-cs3.place" -}}
/run/rucio-cs3
{{- end }}

{{- /* The path of {secret: NAME, key: KEY}, as of (dict "of" REFERENCE "where" WHERE "files" FILES). */}}
{{- define "rucio-cs3.mounted" -}}
{{- $kind := hasKey .of "secret" | ternary "secret" "configMap" -}}
{{- $name := get .of $kind -}}
{{- if not (and $name .of.key) -}}
{{- fail (printf "%s: name a Secret and a key of it: {secret: NAME, key: KEY}" .where) -}}
{{- end -}}
{{- $id := printf "%s/%s" $kind $name -}}
{{- $_ := set .files $id (append (get .files $id | default list) .of.key | uniq) -}}
{{ include "rucio-cs3.place" . }}/{{ $id }}/{{ .of.key }}
{{- end }}

{{- /* In `table`: paths in place of references, and no secret. */}}
{{- define "rucio-cs3.resolve" -}}
{{- $secrets := list "app_password" "bearer" "bearer_token" "client_secret" "machine_secret" "password" "refresh_token" "token" -}}
{{- $paths := list "ca" "client_ca" "client_cert" "client_key" -}}
{{- range $key, $value := .table -}}
  {{- $where := printf "%s.%s" $.where $key -}}
  {{- $is_file := or (hasSuffix "_file" $key) (has $key $paths) -}}
  {{- if kindIs "invalid" $value -}}
    {{- $_ := unset $.table $key -}}
  {{- else if and (kindIs "float64" $value) (eq (float64 (int64 $value)) $value) -}}
    {{- $_ := set $.table $key (int64 $value) -}}{{- /* which YAML said, and Helm forgot */ -}}
  {{- else if and (kindIs "map" $value) $is_file -}}
    {{- $_ := set $.table $key (include "rucio-cs3.mounted" (dict "of" $value "where" $where "files" $.files)) -}}
  {{- else if and (kindIs "map" $value) (ne $key "accounts") -}}
    {{- include "rucio-cs3.resolve" (dict "table" $value "where" $where "files" $.files) -}}
  {{- else if and (has $key $secrets) (not (kindIs "map" $value)) -}}
    {{- fail (printf "%s: a secret has no place in values; set %s_file: {secret: NAME, key: KEY}" $where $key) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- /* The queue's address. Its user and password come by the environment, which is libpq's own way. */}}
{{- define "rucio-cs3.database" -}}
{{- $server := .database.postgresql -}}
{{- if $server.host -}}
postgresql://{{ $server.host }}:{{ int $server.port }}/{{ $server.name }}?sslmode={{ $server.sslmode }}
  {{- $ca := $server.ca -}}
  {{- if kindIs "map" $ca -}}
    {{- $ca = include "rucio-cs3.mounted" (dict "of" $ca "where" "mover.database.postgresql.ca" "files" .files) -}}
  {{- end -}}
  {{- if $ca }}&sslrootcert={{ $ca | urlquery }}{{ end -}}
{{- else -}}
/var/lib/rucio-cs3/mover.db
{{- end -}}
{{- end }}

{{- define "clawstore.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Not empty when the Namespace of everything is the chart's: Helm makes the one that it keeps the release in itself. */}}
{{- define "clawstore.makesNamespace" -}}
{{- if and .Values.namespace.create (ne .Release.Namespace "clawstore-system") -}}
yes
{{- end -}}
{{- end -}}

{{- /* The host paths by the names of their volumes: unique among themselves and the pod's own. */}}
{{- define "clawstore.hostPaths" -}}
{{- $volumes := dict -}}
{{- $taken := list "state" "run" "dev" -}}
{{- range $index, $path := .Values.hostPaths -}}
{{- $name := regexReplaceAll "[^a-z0-9]+" (lower $path) "-" | trunc 50 | trimAll "-" -}}
{{- if or (not $name) (has $name $taken) -}}
{{- $name = printf "host-path-%d" $index -}}
{{- end -}}
{{- $taken = append $taken $name -}}
{{- $_ := set $volumes $name $path -}}
{{- end -}}
{{- toYaml $volumes -}}
{{- end -}}

{{- define "netbit.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end -}}
{{- end -}}

{{- define "netbit.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "netbit.labels" -}}
{{ include "netbit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* The Secret and the key that have the URL of the database. */ -}}
{{- define "netbit.databaseSecret" -}}
{{- if .Values.database.existingSecret -}}
name: {{ .Values.database.existingSecret }}
key: {{ .Values.database.existingSecretKey }}
{{- else -}}
name: {{ include "netbit.name" . }}
key: database
{{- end -}}
{{- end -}}

{{- /* The Secret and the key that have the URL of the read replicas. */ -}}
{{- define "netbit.replicasSecret" -}}
{{- if .Values.database.existingSecretReplicasKey -}}
name: {{ .Values.database.existingSecret }}
key: {{ .Values.database.existingSecretReplicasKey }}
{{- else -}}
name: {{ include "netbit.name" . }}
key: replicas
{{- end -}}
{{- end -}}

{{- /* The secrets of the pods. The content of an existing Secret is known during an upgrade, and not
to `helm template`. */ -}}
{{- define "netbit.secrets" -}}
{{- $secrets := list .Values.database.url .Values.database.replicasUrl .Values.bus.url .Values.auth.secret -}}
{{- with .Values.database.existingSecret -}}
{{- $found := lookup "v1" "Secret" $.Release.Namespace . | default dict -}}
{{- range list $.Values.database.existingSecretKey $.Values.database.existingSecretReplicasKey -}}
{{- $secrets = append $secrets (dig "data" . "" $found) -}}
{{- end -}}
{{- end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{- /* The settings of the chart over those of the user. */ -}}
{{- define "netbit.config" -}}
{{- /* A ConfigMap keeps no secrets. */ -}}
{{- range $key, $value := dict "database" "database.url" "database_replicas" "database.replicasUrl" "bus" "bus.url" -}}
{{- if hasKey $.Values.config $key }}{{ fail (printf "config.%s has a password: set %s instead" $key $value) }}{{ end -}}
{{- end -}}
{{- if dig "auth" "secret" "" .Values.config }}{{ fail "config.auth.secret is a secret: set auth.secret instead" }}{{ end -}}
{{- $http := dict "listen" "0.0.0.0:8080" -}}
{{- if .Values.publicUrl }}{{ $_ := set $http "public_url" .Values.publicUrl }}{{ end -}}
{{- $own := dict
  "data_dir" "/data/netbit"
  "http" $http
  "tcp" (dict "listen" "0.0.0.0:8081")
  "udp" (dict "listen" "0.0.0.0:8082")
  "ops" (dict "listen" "0.0.0.0:8083")
  "limits" (dict "drain_ms" (int .Values.drainMs) "return_spread_ms" (int .Values.returnSpreadMs))
-}}
{{- /* Helm reads integers as floats. */ -}}
{{- regexReplaceAll "(?m)= (-?[0-9]+)[.]0$" (mergeOverwrite (deepCopy .Values.config) $own | toToml) "= ${1}" -}}
{{- end -}}

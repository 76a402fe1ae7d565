{{/* The name of a CronJob may have 52 characters: 25 for this name, a dash, and 26 for the target. */}}
{{- define "pod-rebalancer.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 25 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 25 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pod-rebalancer.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "pod-rebalancer.image" -}}
{{- $repository := required "image.repository is needed: where you pushed the image of deploy/docker/Dockerfile" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A target with all defaults filled in, as JSON. Call it with (dict "root" $ "target" .). */}}
{{- define "pod-rebalancer.target" -}}
{{- $values := .root.Values -}}
{{- $target := .target -}}
{{- $name := printf "%s-%s" (include "pod-rebalancer.fullname" .root) $target.name -}}
{{- $dryRun := $values.dryRun -}}
{{- if hasKey $target "dryRun" }}{{ $dryRun = $target.dryRun }}{{ end -}}
{{- $dryRun = get (dict "true" "client" "false" "none") (toString $dryRun) | default (toString $dryRun) -}}
{{- $suspend := $values.suspend -}}
{{- if hasKey $target "suspend" }}{{ $suspend = $target.suspend }}{{ end -}}
{{- $settings := mergeOverwrite (deepCopy $values.settings) ($target.settings | default dict) -}}
{{- $account := $name -}}
{{- if not $values.serviceAccount.create -}}
{{- $account = required "serviceAccount.name is needed where serviceAccount.create is false" $values.serviceAccount.name -}}
{{- end -}}
{{- dict "name" $name
    "target" $target.name
    "namespace" ($target.namespace | default .root.Release.Namespace)
    "selector" $target.selector
    "workload" ($target.workload | default "")
    "schedule" ($target.schedule | default $values.schedule)
    "suspend" $suspend
    "dryRun" $dryRun
    "deletes" (eq (toString $settings.EVICTION_METHOD | lower) "delete")
    "settings" $settings
    "serviceAccount" $account | toJson -}}
{{- end -}}

{{/*
A setting as text. YAML reads every number as a float, and a large one would print as 1e+06. It also
reads a bare `off` as false, which is not a valid duration.
*/}}
{{- define "pod-rebalancer.text" -}}
{{- if kindIs "bool" . -}}{{ ternary "on" "off" . }}
{{- else if and (kindIs "float64" .) (eq . (floor .)) -}}{{ printf "%.0f" . }}
{{- else -}}{{ toString . }}
{{- end -}}
{{- end -}}

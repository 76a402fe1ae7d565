{{/*
The spec of a pod that runs the program for a target. Call it with (dict "root" $ "target" TARGET "args" LIST).
*/}}
{{- define "pod-rebalancer.pod" -}}
{{- $root := .root -}}
{{- $target := .target -}}
{{- $args := .args -}}
{{- with .root.Values -}}
restartPolicy: Never
serviceAccountName: {{ $target.serviceAccount }}
automountServiceAccountToken: true
# Otherwise a Service called prometheus would set PROMETHEUS_* variables.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .terminationGracePeriodSeconds }}
{{- with .imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .podSecurityContext | nindent 2 }}
containers:
  - name: pod-rebalancer
    image: {{ include "pod-rebalancer.image" $root | quote }}
    imagePullPolicy: {{ .image.pullPolicy }}
    args: {{ $args | toJson }}
    env:
      {{- include "pod-rebalancer.env" (dict "root" $root "target" $target) | nindent 6 }}
    {{- with .extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- toYaml .securityContext | nindent 6 }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    {{- if or .prometheus.existingSecret .kafka.existingSecret .metrics.existingSecret .extraVolumeMounts }}
    volumeMounts:
      {{- if .prometheus.existingSecret }}
      - name: prometheus
        mountPath: /etc/pod-rebalancer/prometheus
        readOnly: true
      {{- end }}
      {{- if .kafka.existingSecret }}
      - name: kafka
        mountPath: /etc/pod-rebalancer/kafka
        readOnly: true
      {{- end }}
      {{- if .metrics.existingSecret }}
      - name: metrics
        mountPath: /etc/pod-rebalancer/metrics
        readOnly: true
      {{- end }}
      {{- with .extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
{{- if or .prometheus.existingSecret .kafka.existingSecret .metrics.existingSecret .extraVolumes }}
volumes:
  {{- if .prometheus.existingSecret }}
  - name: prometheus
    secret:
      secretName: {{ .prometheus.existingSecret }}
  {{- end }}
  {{- if .kafka.existingSecret }}
  - name: kafka
    secret:
      secretName: {{ .kafka.existingSecret }}
  {{- end }}
  {{- if .metrics.existingSecret }}
  - name: metrics
    secret:
      secretName: {{ .metrics.existingSecret }}
  {{- end }}
  {{- with .extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

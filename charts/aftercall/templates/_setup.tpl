{{/* What is made, as a list of "buckets" and "topics", in their order. */}}
{{- define "aftercall.setup.steps" -}}
{{- $steps := list -}}
{{- if or (and .Values.setup.enabled .Values.setup.buckets) .Values.dev.s3.enabled -}}{{- $steps = append $steps "buckets" -}}{{- end -}}
{{- if or .Values.setup.enabled .Values.dev.kafka.enabled -}}{{- $steps = append $steps "topics" -}}{{- end -}}
{{- toYaml $steps -}}
{{- end -}}

{{/* What the Job of a pool is called, before the sum of what it says: (dict "root" $ "pool" <name>). */}}
{{- define "aftercall.setup.name" -}}
{{- printf "%s-%s-setup" (include "aftercall.fullname" .root) .pool -}}
{{- end -}}

{{/* Settings with the pool's topics and buckets, and with webhooks the relay's topics. (dict "root" $ "pool" <pool>) */}}
{{- define "aftercall.settings.setup" -}}
{{- $made := dict -}}
{{- with .root.Values.relay.webhooks.apiUrl -}}{{- $_ := set $made "webhooks" (dict "api_url" .) -}}{{- end -}}
{{- omit (include "aftercall.settings.whole" (dict "root" .root "pool" .pool "made" $made "over" (dict)) | fromYaml) "telemetry" | toYaml -}}
{{- end -}}

{{/* The container of a step: as metadata, "step", "partitions". */}}
{{- define "aftercall.setup.container" -}}
{{- $args := list .step "--create" -}}
{{- if eq .step "topics" -}}
{{- $replication := ternary 1 (int .root.Values.setup.replication) .root.Values.dev.kafka.enabled -}}
{{- $args = concat $args (list "--replication" (toString $replication) "--partitions" (toString .partitions)) -}}
{{- end -}}
image: {{ include "aftercall.image" (dict "root" .root "image" .root.Values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson $args }}
{{ include "aftercall.containerSecurity" .root }}
env:
  - {name: AFTERCALL_SETTINGS_FILE, value: /etc/aftercall/settings.yaml}
  {{- include "aftercall.secrets.env" . | nindent 2 }}
  {{- include "aftercall.extraEnv" . | nindent 2 }}
resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {memory: 256Mi}
volumeMounts:
  - {name: settings, mountPath: /etc/aftercall/settings.yaml, subPath: settings.yaml, readOnly: true}
  {{- include "aftercall.secrets.mounts" . | nindent 2 }}
  {{- include "aftercall.commonMounts" . | nindent 2 }}
{{- end -}}

{{/* What a pool's Job is: as metadata, "name", "partitions", "account". */}}
{{- define "aftercall.setup.spec" -}}
{{- $steps := include "aftercall.setup.steps" .root | fromYamlArray -}}
# Servers for trials come up beside it, so the first tries may fail.
backoffLimit: 20
template:
  metadata:
    {{- include "aftercall.podMetadata" (merge (dict "container" (last $steps)) .) | nindent 4 }}
  spec:
    {{- include "aftercall.podSpec" . | nindent 4 }}
    restartPolicy: OnFailure
    terminationGracePeriodSeconds: 10
    {{- with initial $steps }}
    initContainers:
      {{- range . }}
      - name: {{ . }}
        {{- include "aftercall.setup.container" (merge (dict "step" .) $) | nindent 8 }}
      {{- end }}
    {{- end }}
    containers:
      - name: {{ last $steps }}
        {{- include "aftercall.setup.container" (merge (dict "step" (last $steps)) .) | nindent 8 }}
    volumes:
      - name: settings
        configMap: {name: {{ .name }}, defaultMode: 0440}
      {{- include "aftercall.secrets.volumes" . | nindent 6 }}
      {{- include "aftercall.commonVolumes" . | nindent 6 }}
{{- end -}}

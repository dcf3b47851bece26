{{/* What the broker for trials is told. */}}
{{- define "aftercall.dev.kafka" -}}
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093
advertised.listeners=PLAINTEXT://{{ include "aftercall.fullname" . }}-dev-kafka:9092
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=/data/kafka
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
{{- end -}}

{{/* What is made once: the pool's topics and buckets, and with webhooks the relay's topics. (dict "root" $ "pool" <pool>) */}}
{{- define "aftercall.settings.setup" -}}
{{- $made := dict -}}
{{- with .root.Values.relay.webhooks.apiUrl -}}{{- $_ := set $made "webhooks" (dict "api_url" .) -}}{{- end -}}
{{- omit (include "aftercall.settings.whole" (dict "root" .root "pool" .pool "made" $made "over" (dict)) | fromYaml) "telemetry" | toYaml -}}
{{- end -}}

{{/* A container of the setup: as metadata, "args". */}}
{{- define "aftercall.dev.step" -}}
image: {{ include "aftercall.image" (dict "root" .root "image" .root.Values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
{{ include "aftercall.containerSecurity" .root }}
env:
  - {name: AFTERCALL_SETTINGS_FILE, value: /etc/aftercall/settings.yaml}
  {{- include "aftercall.secrets.env" . | nindent 2 }}
resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {memory: 256Mi}
volumeMounts:
  - {name: settings, mountPath: /etc/aftercall/settings.yaml, subPath: settings.yaml, readOnly: true}
  {{- include "aftercall.secrets.mounts" . | nindent 2 }}
  {{- include "aftercall.commonMounts" . | nindent 2 }}
{{- end -}}

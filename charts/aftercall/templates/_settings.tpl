{{/* Settings of every component, as `aftercall` reads them (docs/configuration.md). Each part is YAML of a mapping. */}}

{{/* Kafka, S3, telemetry: what everybody needs. (dict "root" $ "pool" <pool or nothing>) */}}
{{- define "aftercall.settings.base" -}}
{{- $v := .root.Values -}}
{{- $secrets := "/var/run/secrets/aftercall" -}}
{{- $kafka := dict "bootstrap_servers" (ternary (list (printf "%s-dev-kafka:9092" (include "aftercall.fullname" .root))) $v.kafka.bootstrapServers $v.dev.kafka.enabled) -}}
{{- $_ := set $kafka "security_protocol" $v.kafka.securityProtocol -}}
{{- if hasPrefix "SASL" $v.kafka.securityProtocol -}}
{{- $_ := set $kafka "sasl_mechanism" $v.kafka.saslMechanism -}}
{{- $_ := set $kafka "password_file" (printf "%s/kafka/%s" $secrets $v.kafka.passwordKey) -}}
{{- end -}}
{{- with $v.kafka.tls -}}
{{- if .existingSecret -}}
{{- $_ := set $kafka "ca_file" (printf "%s/kafka-tls/%s" $secrets .caKey) -}}
{{- if .certificateKey -}}
{{- $_ := set $kafka "certificate_file" (printf "%s/kafka-tls/%s" $secrets .certificateKey) -}}
{{- $_ := set $kafka "key_file" (printf "%s/kafka-tls/%s" $secrets .keyKey) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set $kafka "transcripts_topic" $v.kafka.topics.transcripts -}}
{{- $_ := set $kafka "dead_letter_topic" $v.kafka.topics.deadLetter -}}
{{- $_ := set $kafka "group" $v.kafka.consumerGroup -}}
{{- with .pool -}}
{{- $_ := set $kafka "group" .consumerGroup -}}
{{- $_ := set $kafka "deferred_topic" .deferredTopic -}}
{{- $_ := set $kafka "parked_topic" .parkedTopic -}}
{{- $topics := list -}}
{{- range .topics -}}
{{- $topic := dict "name" .name "lane" (lower (default "Live" .lane)) -}}
{{- with .tenants -}}{{- $_ := set $topic "tenants" . -}}{{- end -}}
{{- with .keyTemplates -}}{{- $_ := set $topic "key_templates" . -}}{{- end -}}
{{- with .promiseSeconds -}}{{- $_ := set $topic "promise_s" (int64 .) -}}{{- end -}}
{{- $topics = append $topics $topic -}}
{{- end -}}
{{- $_ := set $kafka "topics" $topics -}}
{{- end -}}
{{- $store := dict "bucket" $v.s3.bucket "region" $v.s3.region "recording_buckets" $v.s3.recordingBuckets -}}
{{- if $v.dev.s3.enabled -}}
{{- $_ := set $store "endpoint" (printf "http://%s-dev-s3:7070" (include "aftercall.fullname" .root)) -}}
{{- else if $v.s3.endpoint -}}
{{- $_ := set $store "endpoint" $v.s3.endpoint -}}
{{- end -}}
{{- if $v.s3.prefix -}}{{- $_ := set $store "prefix" $v.s3.prefix -}}{{- end -}}
{{- if or $v.dev.s3.enabled $v.s3.existingSecret -}}
{{- $_ := set $store "secret_access_key_file" (printf "%s/s3/%s" $secrets $v.s3.secretAccessKeyKey) -}}
{{- end -}}
{{- $telemetry := dict "host" "0.0.0.0" "port" 9464 "log_format" $v.telemetry.logFormat -}}
{{- if $v.telemetry.otlpEndpoint -}}
{{- $_ := set $telemetry "otlp_endpoint" $v.telemetry.otlpEndpoint -}}
{{- $_ := set $telemetry "trace_ratio" $v.telemetry.traceRatio -}}
{{- end -}}
{{- dict "kafka" $kafka "store" $store "telemetry" $telemetry | toYaml -}}
{{- end -}}

{{/* The whole of a component's: (dict "root" $ "made" <mapping> "over" <its own settings> …), everybody's between them. */}}
{{- define "aftercall.settings.whole" -}}
{{- $base := include "aftercall.settings.base" . | fromYaml -}}
{{- mergeOverwrite $base .made (deepCopy .root.Values.settings) (deepCopy .over) | toYaml -}}
{{- end -}}

{{- define "aftercall.tenantsFile" -}}
{{- if ne .Values.tenants.source "Any" -}}/etc/aftercall/tenants{{- end -}}
{{- end -}}

{{- define "aftercall.settings.consumers" -}}
{{- $v := .root.Values -}}
{{- $pool := .pool -}}
{{- $url := include "aftercall.speechUrl" . -}}
{{- $speech := dict "max_windows_in_flight" $pool.consumers.maxWindowsInFlight "beam_size" $pool.model.beamSize -}}
{{- with $pool.model.language -}}{{- $_ := set $speech "language" . -}}{{- end -}}
{{- if eq $pool.backend "InProcess" -}}
{{- $_ := set $speech "backend" "inprocess" -}}
{{- $_ := set $speech "device" "cpu" -}}
{{- $_ := set $speech "precision" $pool.model.precision -}}
{{- $_ := set $speech "threads" $pool.speech.threads -}}
{{- else -}}
{{- $_ := set $speech "backend" (get (dict "Triton" "triton" "Ray" "ray" "External" "openai") $pool.backend) -}}
{{- $_ := set $speech "url" $url -}}
{{- end -}}
{{- if and (has $pool.backend (list "InProcess" "External")) $pool.model.name -}}
{{- $_ := set $speech "model" $pool.model.name -}}
{{- end -}}
{{- if and (eq $pool.backend "External") $pool.external.existingSecret -}}
{{- $_ := set $speech "api_key_file" (printf "/var/run/secrets/aftercall/external/%s" $pool.external.apiKeyKey) -}}
{{- end -}}
{{- $made := dict "speech" $speech -}}
{{- $intake := dict "max_open_calls" $pool.consumers.maxOpenCalls "promise_s" (int64 $pool.promiseSeconds) -}}
{{- with include "aftercall.tenantsFile" .root -}}{{- $_ := set $intake "tenants_file" . -}}{{- end -}}
{{- $_ := set $made "intake" $intake -}}
{{- $_ := set $made "kafka" (dict "drain_s" $pool.consumers.drainSeconds) -}}
{{- if $v.diarization.enabled -}}
{{- $_ := set $made "diarization" (dict "backend" "triton" "url" (printf "grpc://%s-diarization.%s.svc:8001" (include "aftercall.fullname" .root) .root.Release.Namespace)) -}}
{{- end -}}
{{- if $v.operator.enabled -}}
{{- $scheme := ternary "https" "http" (not (empty $v.operator.tls.existingSecret)) -}}
{{- $reporting := dict "url" (printf "%s://%s-operator.%s.svc:8480" $scheme (include "aftercall.fullname" .root) .root.Release.Namespace) "pool" $pool.name "token_file" "/var/run/secrets/aftercall/operator/token" -}}
{{- if $v.operator.tls.existingSecret -}}
{{- $_ := set $reporting "ca_file" "/var/run/secrets/aftercall/operator-ca/ca.crt" -}}
{{- end -}}
{{- $_ := set $made "reporting" $reporting -}}
{{- end -}}
{{- include "aftercall.settings.whole" (dict "root" .root "pool" $pool "made" $made "over" $pool.settings) -}}
{{- end -}}

{{- define "aftercall.settings.operator" -}}
{{- $v := .Values -}}
{{- $name := include "aftercall.fullname" . -}}
{{- $maps := list -}}
{{- range until (int $v.tenants.shards) -}}{{- $maps = append $maps (printf "%s-tenants-%d" $name .) -}}{{- end -}}
{{- $operator := dict "namespace" .Release.Namespace "host" "0.0.0.0" "port" 8480 "service_accounts" (list (printf "%s-consumers" $name)) "lease" (printf "%s-operator" $name) "grant_lease_s" $v.operator.grantLeaseSeconds "tenants_config_maps" (ternary $maps (list) (eq $v.tenants.source "Resources")) -}}
{{- if $v.operator.tls.existingSecret -}}
{{- $_ := set $operator "certificate_file" "/var/run/secrets/aftercall/operator-tls/tls.crt" -}}
{{- $_ := set $operator "key_file" "/var/run/secrets/aftercall/operator-tls/tls.key" -}}
{{- end -}}
{{- /* Pools say theirs; this one is of pools that are made beside the chart. */ -}}
{{- $made := dict "operator" $operator "kafka" (dict "deferred_topic" $v.kafka.topics.deferred) -}}
{{- /* It reads no recordings. */ -}}
{{- omit (include "aftercall.settings.whole" (dict "root" . "made" $made "over" $v.operator.settings) | fromYaml) "store" | toYaml -}}
{{- end -}}

{{- define "aftercall.settings.api" -}}
{{- $v := .Values -}}
{{- $pool := include "aftercall.poolOf" (dict "root" . "key" "api.pool" "named" $v.api.pool) | fromYaml -}}
{{- $api := dict "host" "0.0.0.0" "port" 8400 -}}
{{- with $v.api.publicUrl -}}{{- $_ := set $api "public_url" . -}}{{- end -}}
{{- with $v.api.uploadsBucket -}}{{- $_ := set $api "uploads_bucket" . -}}{{- end -}}
{{- $made := dict "api" $api -}}
{{- with include "aftercall.tenantsFile" . -}}{{- $_ := set $made "intake" (dict "tenants_file" .) -}}{{- end -}}
{{- with $pool.model.name -}}{{- $_ := set $made "speech" (dict "model" .) -}}{{- end -}}
{{- include "aftercall.settings.whole" (dict "root" . "pool" $pool "made" $made "over" $v.api.settings) -}}
{{- end -}}

{{- define "aftercall.settings.relay" -}}
{{- $v := .Values -}}
{{- $made := dict -}}
{{- with include "aftercall.tenantsFile" . -}}{{- $_ := set $made "intake" (dict "tenants_file" .) -}}{{- end -}}
{{- if or $v.clickhouse.url $v.dev.clickhouse.enabled -}}
{{- $clickhouse := dict "url" (ternary (printf "http://%s-dev-clickhouse:8123" (include "aftercall.fullname" .)) $v.clickhouse.url $v.dev.clickhouse.enabled) "database" $v.clickhouse.database "username" $v.clickhouse.username -}}
{{- if or $v.dev.clickhouse.enabled $v.clickhouse.existingSecret -}}
{{- $_ := set $clickhouse "password_file" (printf "/var/run/secrets/aftercall/clickhouse/%s" $v.clickhouse.passwordKey) -}}
{{- end -}}
{{- $_ := set $made "clickhouse" $clickhouse -}}
{{- end -}}
{{- with $v.relay.webhooks.apiUrl -}}{{- $_ := set $made "webhooks" (dict "api_url" .) -}}{{- end -}}
{{- include "aftercall.settings.whole" (dict "root" . "made" $made "over" $v.relay.settings) -}}
{{- end -}}

{{/* How many replicas Ray Serve begins with, and stays at where there is no operator: (dict "root" $ "pool" <pool>). It
deploys nothing with none, so a pool that may sleep begins with one, which the operator takes away. */}}
{{- define "aftercall.ray.replicas" -}}
{{- max 1 (ternary .pool.speech.minReplicas .pool.speech.replicas .root.Values.operator.enabled | int) -}}
{{- end -}}

{{/* Of a Ray cluster: (dict "root" $ "pool" <pool>). */}}
{{- define "aftercall.settings.ray" -}}
{{- $pool := .pool -}}
{{- $gpus := ternary (divf (float64 $pool.speech.gpu.count) (float64 $pool.ray.replicasPerWorker)) 0.0 (eq $pool.speech.device "cuda") -}}
{{- $speech := dict "engine" $pool.model.engine "model" $pool.model.name "device" $pool.speech.device "precision" $pool.model.precision "threads" $pool.speech.threads "max_batch_windows" $pool.speech.maxBatchWindows -}}
{{- $serving := dict "replicas" (include "aftercall.ray.replicas" . | int) "ingresses" $pool.ray.ingresses "cpus" 1 "gpus" $gpus "max_queued_windows" $pool.speech.maxQueuedWindows "drain_s" $pool.speech.drainSeconds -}}
{{- $over := list (pick (deepCopy .root.Values.settings) "serving") (pick (deepCopy $pool.settings) "serving") -}}
{{- mergeOverwrite (dict "speech" $speech "serving" $serving) (first $over) (last $over) | toYaml -}}
{{- end -}}

{{/* Topics and buckets of all pools together, for whoever makes them or tests them: (dict "root" $ "pool" <pool>). */}}
{{- define "aftercall.settings.test" -}}
{{- $settings := include "aftercall.settings.whole" (dict "root" .root "pool" .pool "made" (dict) "over" (dict)) | fromYaml -}}
{{- omit $settings "telemetry" | toYaml -}}
{{- end -}}

{{/* The name of what holds the authorities to trust; nothing: those of the image. */}}
{{- define "aftercall.trust" -}}
{{- default .Values.trust.existingConfigMap .Values.trust.existingSecret -}}
{{- end -}}

{{/* The Secret with a login to S3; nothing: there is none, or the component has no use for it. */}}
{{- define "aftercall.s3Secret" -}}
{{- if ne .component "operator" -}}
{{- ternary (printf "%s-dev" (include "aftercall.fullname" .root)) .root.Values.s3.existingSecret .root.Values.dev.s3.enabled -}}
{{- end -}}
{{- end -}}

{{/* Secrets that whoever speaks to Kafka and S3 mounts: as metadata. */}}
{{- define "aftercall.secrets.env" -}}
{{- $v := .root.Values -}}
{{- if include "aftercall.trust" .root }}
# OpenSSL and Rust read the one, `requests`, which sends traces, the other.
- {name: SSL_CERT_FILE, value: /var/run/secrets/aftercall/trust/{{ $v.trust.caKey }}}
- {name: REQUESTS_CA_BUNDLE, value: /var/run/secrets/aftercall/trust/{{ $v.trust.caKey }}}
{{- end }}
{{- $s3 := include "aftercall.s3Secret" . -}}
{{- if and (hasPrefix "SASL" $v.kafka.securityProtocol) $v.kafka.existingSecret }}
- name: AFTERCALL_KAFKA__USERNAME
  valueFrom: {secretKeyRef: {name: {{ $v.kafka.existingSecret }}, key: {{ $v.kafka.usernameKey }}}}
{{- end }}
{{- if $s3 }}
- name: AFTERCALL_STORE__ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $s3 }}, key: {{ $v.s3.accessKeyIdKey }}}}
{{- end }}
{{- end -}}

{{- define "aftercall.secrets.volumes" -}}
{{- $v := .root.Values -}}
{{- if include "aftercall.trust" .root }}
- name: trust
  {{- if $v.trust.existingSecret }}
  secret: {secretName: {{ $v.trust.existingSecret }}, defaultMode: 0440, items: [{key: {{ $v.trust.caKey }}, path: {{ $v.trust.caKey }}}]}
  {{- else }}
  configMap: {name: {{ $v.trust.existingConfigMap }}, defaultMode: 0440, items: [{key: {{ $v.trust.caKey }}, path: {{ $v.trust.caKey }}}]}
  {{- end }}
{{- end }}
{{- $s3 := include "aftercall.s3Secret" . -}}
{{- if and (hasPrefix "SASL" $v.kafka.securityProtocol) $v.kafka.existingSecret }}
- name: kafka
  secret:
    secretName: {{ $v.kafka.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ $v.kafka.passwordKey }}, path: {{ $v.kafka.passwordKey }}}]
{{- end }}
{{- with $v.kafka.tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if $s3 }}
- name: s3
  secret:
    secretName: {{ $s3 }}
    defaultMode: 0440
    items: [{key: {{ $v.s3.secretAccessKeyKey }}, path: {{ $v.s3.secretAccessKeyKey }}}]
{{- end }}
{{- end -}}

{{- define "aftercall.secrets.mounts" -}}
{{- $v := .root.Values -}}
{{- if include "aftercall.trust" .root }}
- {name: trust, mountPath: /var/run/secrets/aftercall/trust, readOnly: true}
{{- end }}
{{- if and (hasPrefix "SASL" $v.kafka.securityProtocol) $v.kafka.existingSecret }}
- {name: kafka, mountPath: /var/run/secrets/aftercall/kafka, readOnly: true}
{{- end }}
{{- if $v.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /var/run/secrets/aftercall/kafka-tls, readOnly: true}
{{- end }}
{{- if include "aftercall.s3Secret" . }}
- {name: s3, mountPath: /var/run/secrets/aftercall/s3, readOnly: true}
{{- end }}
{{- end -}}

{{/* Tenants' policies, as a folder of files. */}}
{{- define "aftercall.tenants.volumes" -}}
{{- $v := .root.Values -}}
{{- $name := include "aftercall.fullname" .root -}}
{{- if ne $v.tenants.source "Any" }}
- name: tenants
  projected:
    defaultMode: 0440
    sources:
      {{- if eq $v.tenants.source "Resources" }}
      {{- range until (int $v.tenants.shards) }}
      # Empty until the operator has written it.
      - configMap: {name: {{ $name }}-tenants-{{ . }}, optional: true, items: [{key: tenants.yaml, path: tenants-{{ . }}.yaml}]}
      {{- end }}
      {{- else }}
      - configMap: {name: {{ default (printf "%s-tenants" $name) $v.tenants.existingConfigMap }}, items: [{key: tenants.yaml, path: tenants.yaml}]}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "aftercall.tenants.mounts" -}}
{{- if ne .root.Values.tenants.source "Any" }}
- {name: tenants, mountPath: /etc/aftercall/tenants, readOnly: true}
{{- end }}
{{- end -}}

{{- define "aftercall.twilio.volumes" -}}
{{- range $at, $name := .root.Values.tenants.twilioSecrets }}
- name: twilio-{{ $at }}
  secret: {secretName: {{ $name }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- define "aftercall.twilio.mounts" -}}
{{- range $at, $name := .root.Values.tenants.twilioSecrets }}
- {name: twilio-{{ $at }}, mountPath: /var/run/secrets/aftercall/twilio/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* Settings as a ConfigMap: as metadata, and "name", "settings". */}}
{{- define "aftercall.settingsMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
data:
  settings.yaml: |
    {{- .settings | nindent 4 }}
{{- end -}}

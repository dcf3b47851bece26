{{/* Values that the schema takes one by one and that cannot work together. All of them are said at once, each by its key. */}}
{{- define "aftercall.validation" -}}
{{- $found := dict "all" list -}}
{{- $at := dict "root" . "found" $found -}}
{{- include "aftercall.validation.services" $at -}}
{{- include "aftercall.validation.components" $at -}}
{{- include "aftercall.validation.tenants" $at -}}
{{- include "aftercall.validation.network" $at -}}
{{- include "aftercall.validation.settings" $at -}}
{{- include "aftercall.validation.test" $at -}}
{{- if not .Values.pools -}}
{{- include "aftercall.problem" (merge (dict "key" "pools" "says" "name at least one, such as pools.main") $at) -}}
{{- end -}}
{{- $pools := include "aftercall.pools" . | fromYaml -}}
{{- range $name, $pool := $pools -}}
{{- include "aftercall.validation.pool" (merge (dict "key" (printf "pools.%s" $name) "pool" $pool) $at) -}}
{{- include "aftercall.validation.backend" (merge (dict "key" (printf "pools.%s" $name) "pool" $pool) $at) -}}
{{- range $other, $its := $pools -}}
{{- if lt $name $other -}}
{{- range $key := list "consumerGroup" "deferredTopic" "parkedTopic" -}}
{{- if eq (get $pool $key) (get $its $key) -}}
{{- include "aftercall.problem" (merge (dict "key" (printf "pools.%s.%s" $other $key) "says" (printf "pools.%s has %q, too; give each pool its own" $name (get $its $key))) $at) -}}
{{- end -}}
{{- end -}}
{{- range $topic := $pool.topics -}}
{{- range $its.topics -}}
{{- if eq .name $topic.name -}}
{{- include "aftercall.problem" (merge (dict "key" (printf "pools.%s.topics" $other) "says" (printf "pools.%s reads %s, too; a topic is one pool's" $name .name)) $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $found.all -}}
{{- fail (printf "\n\nThese values cannot work:\n  %s\n" (join "\n  " $found.all)) -}}
{{- end -}}
{{- end -}}

{{/* Note one: (dict "found" … "key" "api.pool" "says" "…"). */}}
{{- define "aftercall.problem" -}}
{{- $_ := set .found "all" (append .found.all (printf "%s: %s" .key .says)) -}}
{{- end -}}

{{/* Note one where something holds: (list <at> <whether> <key> <says>). */}}
{{- define "aftercall.unless" -}}
{{- if index . 1 -}}
{{- include "aftercall.problem" (dict "found" (index . 0).found "key" (index . 2) "says" (index . 3)) -}}
{{- end -}}
{{- end -}}

{{- define "aftercall.validation.services" -}}
{{- $v := .root.Values -}}
{{- $kafka := $v.kafka -}}
{{- $sasl := hasPrefix "SASL" $kafka.securityProtocol -}}
{{- $ssl := contains "SSL" $kafka.securityProtocol -}}
{{- include "aftercall.unless" (list . (and (empty $kafka.bootstrapServers) (not $v.dev.kafka.enabled)) "kafka.bootstrapServers" "say where the brokers are, or set dev.kafka.enabled for a trial") -}}
{{- include "aftercall.unless" (list . (and (not (empty $kafka.bootstrapServers)) $v.dev.kafka.enabled) "dev.kafka.enabled" "kafka.bootstrapServers names brokers already; choose one") -}}
{{- include "aftercall.unless" (list . (and $v.dev.kafka.enabled (ne $kafka.securityProtocol "PLAINTEXT")) "kafka.securityProtocol" "the broker for trials (dev.kafka) knows PLAINTEXT only") -}}
{{- include "aftercall.unless" (list . (and $sasl (empty $kafka.saslMechanism)) "kafka.saslMechanism" (printf "%s needs one" $kafka.securityProtocol)) -}}
{{- include "aftercall.unless" (list . (and $sasl (empty $kafka.existingSecret)) "kafka.existingSecret" (printf "%s needs a Secret with a login" $kafka.securityProtocol)) -}}
{{- include "aftercall.unless" (list . (and (not $sasl) (or $kafka.existingSecret $kafka.saslMechanism)) "kafka.securityProtocol" (printf "%s logs nobody in, but kafka.existingSecret or kafka.saslMechanism is set" $kafka.securityProtocol)) -}}
{{- include "aftercall.unless" (list . (and (not $ssl) (not (empty $kafka.tls.existingSecret))) "kafka.tls.existingSecret" (printf "%s uses no certificates" $kafka.securityProtocol)) -}}
{{- include "aftercall.unless" (list . (ne (empty $kafka.tls.certificateKey) (empty $kafka.tls.keyKey)) "kafka.tls.keyKey" "a certificate and its key go together: set kafka.tls.certificateKey and kafka.tls.keyKey") -}}
{{- include "aftercall.unless" (list . (empty $v.s3.bucket) "s3.bucket" "say which bucket transcripts and outcomes go to") -}}
{{- $web := dig "recording" "from_web" false $v.settings -}}
{{- include "aftercall.unless" (list . (and (empty $v.s3.recordingBuckets) (not $web)) "s3.recordingBuckets" "name the buckets that recordings may be fetched from") -}}
{{- include "aftercall.unless" (list . (and $v.dev.s3.enabled (or $v.s3.endpoint $v.s3.existingSecret)) "dev.s3.enabled" "s3.endpoint or s3.existingSecret names an S3 already; choose one") -}}
{{- include "aftercall.unless" (list . (and $v.dev.clickhouse.enabled (or $v.clickhouse.url $v.clickhouse.existingSecret)) "dev.clickhouse.enabled" "clickhouse.url or clickhouse.existingSecret names a ClickHouse already; choose one") -}}
{{- include "aftercall.unless" (list . (and (empty $v.clickhouse.url) (not (empty $v.clickhouse.existingSecret))) "clickhouse.url" "clickhouse.existingSecret is set, but no address") -}}
{{- include "aftercall.unless" (list . (and (not (empty $v.trust.existingSecret)) (not (empty $v.trust.existingConfigMap))) "trust.existingConfigMap" "trust.existingSecret is set, too; choose one") -}}
{{- include "aftercall.unless" (list . (hasSuffix ":4317" (trimSuffix "/" $v.telemetry.otlpEndpoint)) "telemetry.otlpEndpoint" "4317 is the port of OTLP over gRPC; traces are sent over HTTP, usually to port 4318") -}}
{{- $prometheus := include "aftercall.has" (dict "root" .root "said" $v.capabilities.prometheusOperator "kind" "monitoring.coreos.com/v1/PodMonitor") -}}
{{- range $key := list "podMonitors" "rules" -}}
{{- include "aftercall.unless" (list $ (and (get $v.monitoring $key).enabled (not $prometheus)) (printf "monitoring.%s.enabled" $key) "the Prometheus operator's CRDs are not there; install it first (or, where there is no cluster to ask, set capabilities.prometheusOperator: Present)") -}}
{{- end -}}
{{- $models := $v.models -}}
{{- $needed := $v.diarization.enabled -}}
{{- range $_, $pool := include "aftercall.pools" .root | fromYaml -}}
{{- if ne $pool.backend "External" -}}{{- $needed = true -}}{{- end -}}
{{- end -}}
{{- include "aftercall.unless" (list . (and $needed (eq $models.source "Claim") (empty $models.claim)) "models.claim" "models.source is Claim, so name the PersistentVolumeClaim that holds models") -}}
{{- include "aftercall.unless" (list . (and $needed (eq $models.source "Image") (empty $models.image.repository)) "models.image.repository" "models.source is Image, so name the image that holds models") -}}
{{- end -}}

{{- define "aftercall.validation.components" -}}
{{- $v := .root.Values -}}
{{- $buckets := list -}}
{{- range $v.s3.recordingBuckets -}}{{- $buckets = append $buckets .name -}}{{- end -}}
{{- if $v.api.enabled -}}
{{- include "aftercall.unless" (list . (and (empty $v.api.existingSecret) (empty $v.dev.apiKeys)) "api.existingSecret" "name the Secret with API keys, or set api.enabled: false") -}}
{{- include "aftercall.unless" (list . (and (not (empty $v.api.existingSecret)) (not (empty $v.dev.apiKeys))) "dev.apiKeys" "api.existingSecret holds keys already; choose one") -}}
{{- include "aftercall.unless" (list . (and (not (empty $v.api.uploadsBucket)) (not (has $v.api.uploadsBucket $buckets))) "api.uploadsBucket" (printf "%s is none of s3.recordingBuckets" $v.api.uploadsBucket)) -}}
{{- include "aftercall.unless" (list . (and $v.api.ingress.enabled (empty $v.api.ingress.host)) "api.ingress.host" "an Ingress needs one") -}}
{{- else -}}
{{- include "aftercall.unless" (list . $v.api.ingress.enabled "api.ingress.enabled" "api.enabled is false, so there is nothing behind it") -}}
{{- end -}}
{{- $rows := or $v.clickhouse.url $v.dev.clickhouse.enabled -}}
{{- include "aftercall.unless" (list . (and $v.relay.enabled (not $rows) (empty $v.relay.webhooks.apiUrl)) "relay.enabled" "there is nothing to relay to: set clickhouse.url or relay.webhooks.apiUrl, or set it to false") -}}
{{- include "aftercall.unless" (list . (and (not $v.relay.enabled) (or $rows $v.relay.webhooks.apiUrl)) "relay.enabled" "clickhouse or relay.webhooks.apiUrl is set, and only the relay writes there") -}}
{{- include "aftercall.unless" (list . (and (not (empty $v.relay.webhooks.secrets)) (empty $v.relay.webhooks.apiUrl)) "relay.webhooks.apiUrl" "relay.webhooks.secrets are mounted, but without this address there are no webhooks") -}}
{{- with $v.diarization -}}
{{- if .enabled -}}
{{- include "aftercall.unless" (list $ (empty .pipeline) "diarization.pipeline" "say where the pipeline is") -}}
{{- include "aftercall.unless" (list $ (and (not (empty .pipeline)) (ne $v.models.source "Hub") (not (hasPrefix "/" .pipeline))) "diarization.pipeline" (printf "%s is no folder; nothing is fetched from the hub with models.source %s" .pipeline $v.models.source)) -}}
{{- include "aftercall.validation.server" (merge (dict "key" "diarization" "server" . "given" .) $) -}}
{{- end -}}
{{- end -}}
{{- range $at, $pod := dict "podDefaults" $v.podDefaults "operator.pod" $v.operator.pod "api.pod" $v.api.pod "relay.pod" $v.relay.pod "diarization.pod" $v.diarization.pod "tests.pod" $v.tests.pod -}}
{{- include "aftercall.validation.env" (merge (dict "key" $at "pod" $pod) $) -}}
{{- end -}}
{{- end -}}

{{/* Two variables of one name are an error to server-side apply, and the second would win without it. */}}
{{- define "aftercall.validation.env" -}}
{{- $ours := list "AFTERCALL_SETTINGS_FILE" "AFTERCALL_REPORTING__NAME" "AFTERCALL_KAFKA__USERNAME" "AFTERCALL_STORE__ACCESS_KEY_ID" "AFTERCALL_API__KEYS" "HF_HUB_OFFLINE" "HF_HOME" "HOME" -}}
{{- /* Servers of models trust what their image does. */ -}}
{{- $server := or (eq .key "diarization.pod") (hasSuffix ".speech.pod" .key) (hasSuffix ".ray.head.pod" .key) -}}
{{- if and (include "aftercall.trust" .root) (not $server) -}}{{- $ours = concat $ours (list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE") -}}{{- end -}}
{{- $names := list -}}
{{- range default list .pod.extraEnv -}}
{{- include "aftercall.unless" (list $ (has .name $ours) (printf "%s.extraEnv" $.key) (printf "%s is set by the chart" .name)) -}}
{{- include "aftercall.unless" (list $ (has .name $names) (printf "%s.extraEnv" $.key) (printf "%s is there twice" .name)) -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}

{{/* The test waits for a pool that may have to start: of the pool that it takes. */}}
{{- define "aftercall.validation.test" -}}
{{- $tests := .root.Values.tests -}}
{{- $pools := include "aftercall.pools" .root | fromYaml -}}
{{- range $name, $pool := $pools -}}
{{- $taken := and $tests.enabled (or (eq $name $tests.pool) (eq (len $pools) 1)) (has $pool.backend (list "Triton" "Ray")) -}}
{{- $cold := int64 $pool.speech.coldStartSeconds -}}
{{- include "aftercall.unless" (list $ (and $taken (lt (int64 $tests.timeoutSeconds) $cold)) "tests.timeoutSeconds" (printf "a cold start alone takes pools.%s.speech.coldStartSeconds = %d s" $name $cold)) -}}
{{- end -}}
{{- end -}}

{{- define "aftercall.validation.tenants" -}}
{{- $v := .root.Values -}}
{{- $tenants := $v.tenants -}}
{{- $names := list -}}
{{- range $tenants.list -}}{{- $names = append $names .name -}}{{- end -}}
{{- if eq $tenants.source "File" -}}
{{- include "aftercall.unless" (list . (and (empty $tenants.list) (empty $tenants.existingConfigMap)) "tenants.list" "tenants.source is File, and without a tenant nobody would be served: list some, or name tenants.existingConfigMap") -}}
{{- include "aftercall.unless" (list . (and (not (empty $tenants.list)) (not (empty $tenants.existingConfigMap))) "tenants.existingConfigMap" "tenants.list is set, too; choose one") -}}
{{- include "aftercall.unless" (list . (and $v.tests.enabled (empty $tenants.existingConfigMap) (not (empty $tenants.list)) (not (has $v.tests.tenant $names))) "tests.tenant" (printf "tenants.list has no %s, so its test recording would wait for ever; list it, or set tests.enabled: false" $v.tests.tenant)) -}}
{{- else -}}
{{- include "aftercall.unless" (list . (or $tenants.list $tenants.existingConfigMap) "tenants.source" (printf "it is %s, so tenants.list and tenants.existingConfigMap would be ignored; set it to File" $tenants.source)) -}}
{{- end -}}
{{- if eq $tenants.source "Resources" -}}
{{- include "aftercall.unless" (list . (not $v.operator.enabled) "tenants.source" "Resources are compiled by the operator, and operator.enabled is false; set it to File or Any") -}}
{{- else -}}
{{- include "aftercall.unless" (list . (not (empty $tenants.resources)) "tenants.resources" (printf "tenants.source is %s, so they would be ignored" $tenants.source)) -}}
{{- end -}}
{{- $seen := list -}}
{{- range $tenants.resources -}}
{{- include "aftercall.unless" (list $ (has .name $seen) "tenants.resources" (printf "%s is listed twice" .name)) -}}
{{- include "aftercall.unless" (list $ (and $v.tests.enabled (eq .name $v.tests.tenant)) "tests.tenant" (printf "tenants.resources has %s already; the chart makes it" .name)) -}}
{{- $seen = append $seen .name -}}
{{- end -}}
{{- end -}}

{{/* Settings that other objects of the release follow, too: a port, a topic, a group. What sets all of these is a value. */}}
{{- define "aftercall.validation.settings" -}}
{{- $values := dict
  "kafka.bootstrap_servers" "kafka.bootstrapServers"
  "kafka.topics" "topics of the pool"
  "kafka.group" "consumerGroup of the pool"
  "kafka.deferred_topic" "deferredTopic of the pool"
  "kafka.parked_topic" "parkedTopic of the pool"
  "kafka.transcripts_topic" "kafka.topics.transcripts"
  "kafka.dead_letter_topic" "kafka.topics.deadLetter"
  "kafka.drain_s" "consumers.drainSeconds of the pool"
  "store.bucket" "s3.bucket"
  "intake.promise_s" "promiseSeconds of the pool"
  "intake.tenants_file" "tenants.source"
  "speech.backend" "backend of the pool"
  "speech.url" "backend and external.url of the pool"
  "reporting.url" "operator.enabled"
  "reporting.pool" "the pool's own name"
  "api.port" "api.service"
  "telemetry.port" "monitoring.podMonitors"
  "operator.port" "operator.enabled"
  "operator.namespace" "the release's own namespace"
  "operator.lease" "fullnameOverride"
  "operator.service_accounts" "fullnameOverride"
  "operator.grant_lease_s" "operator.grantLeaseSeconds"
  "operator.tenants_config_maps" "tenants.shards"
  "serving.replicas" "speech.minReplicas of the pool"
  "serving.gpus" "ray.replicasPerWorker of the pool"
  "serving.drain_s" "speech.drainSeconds of the pool" -}}
{{- $v := .root.Values -}}
{{- $given := dict "settings" $v.settings "poolDefaults.settings" $v.poolDefaults.settings "operator.settings" $v.operator.settings "api.settings" $v.api.settings "relay.settings" $v.relay.settings -}}
{{- range $name, $pool := include "aftercall.pools" .root | fromYaml -}}{{- $_ := set $given (printf "pools.%s.settings" $name) $pool.given.settings -}}{{- end -}}
{{- range $at, $settings := $given -}}
{{- range $path, $value := $values -}}
{{- $keys := splitList "." $path -}}
{{- include "aftercall.unless" (list $ (hasKey (default dict (get (default dict $settings) (first $keys))) (last $keys)) (printf "%s.%s" $at $path) (printf "other objects of the release would not follow; what sets it for all is %s" $value)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "aftercall.validation.network" -}}
{{- $v := .root.Values -}}
{{- if $v.networkPolicy.enabled -}}
{{- $egress := $v.networkPolicy.egress -}}
{{- $wanted := dict "kafka" (not $v.dev.kafka.enabled) "s3" (not $v.dev.s3.enabled) "clickhouse" (not (empty $v.clickhouse.url)) "telemetry" (not (empty $v.telemetry.otlpEndpoint)) -}}
{{- range $_, $pool := include "aftercall.pools" .root | fromYaml -}}
{{- $own := mergeOverwrite (deepCopy $v.settings) (deepCopy $pool.settings) -}}
{{- if or (eq $pool.backend "External") (dig "recording" "from_web" false $own) (not (empty (dig "shadow" "url" "" $own))) -}}{{- $_ := set $wanted "external" true -}}{{- end -}}
{{- end -}}
{{- range $name, $needed := $wanted -}}
{{- include "aftercall.unless" (list $ (and $needed (empty (get $egress $name))) (printf "networkPolicy.egress.%s" $name) "networkPolicy.enabled closes everything that is not named, and pods have to reach it") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "aftercall.validation.pool" -}}
{{- $v := .root.Values -}}
{{- $key := .key -}}
{{- $pool := .pool -}}
{{- $consumers := $pool.consumers -}}
{{- include "aftercall.unless" (list . (gt (len $pool.consumersName) 63) $key (printf "%s has more than 63 characters; shorten the pool's name, or set fullnameOverride" $pool.consumersName)) -}}
{{- $job := include "aftercall.setup.name" (dict "root" .root "pool" $pool.name) -}}
{{- $made := include "aftercall.setup.steps" .root | fromYamlArray -}}
{{- include "aftercall.unless" (list . (and (not (empty $made)) (gt (len $job) 54)) $key (printf "the Job %s-… has more than 63 characters; shorten the pool's name, or set fullnameOverride" $job)) -}}
{{- include "aftercall.unless" (list . (empty $pool.topics) (printf "%s.topics" $key) "name the topics that announce recordings") -}}
{{- $inner := list $pool.deferredTopic $pool.parkedTopic $v.kafka.topics.transcripts $v.kafka.topics.deadLetter -}}
{{- $names := list -}}
{{- range $pool.topics -}}
{{- include "aftercall.unless" (list $ (has .name $inner) (printf "%s.topics" $key) (printf "%s is one of aftercall's own topics" .name)) -}}
{{- include "aftercall.unless" (list $ (has .name $names) (printf "%s.topics" $key) (printf "%s is named twice" .name)) -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- include "aftercall.unless" (list . (gt (int64 $consumers.minReplicas) (int64 $consumers.maxReplicas)) (printf "%s.consumers.minReplicas" $key) (printf "%d is more than maxReplicas, %d" (int64 $consumers.minReplicas) (int64 $consumers.maxReplicas))) -}}
{{- include "aftercall.unless" (list . (and (gt (int64 $pool.partitions) 0) (gt (int64 $consumers.maxReplicas) (int64 $pool.partitions))) (printf "%s.consumers.maxReplicas" $key) (printf "%d consumers share %d partitions, so %d would have nothing to do" (int64 $consumers.maxReplicas) (int64 $pool.partitions) (sub (int64 $consumers.maxReplicas) (int64 $pool.partitions)))) -}}
{{- include "aftercall.unless" (list . (lt (int64 $consumers.terminationGracePeriodSeconds) (add (int64 $consumers.drainSeconds) 5)) (printf "%s.consumers.terminationGracePeriodSeconds" $key) (printf "%d s end before drainSeconds + 5 s = %d s, and consumers would be killed as they hand back" (int64 $consumers.terminationGracePeriodSeconds) (add (int64 $consumers.drainSeconds) 5))) -}}
{{- $replicas := not (kindIs "invalid" $consumers.replicas) -}}
{{- include "aftercall.unless" (list . (and $v.operator.enabled $replicas) (printf "%s.consumers.replicas" $key) "the operator sets it; give minReplicas and maxReplicas, or set operator.enabled: false") -}}
{{- include "aftercall.unless" (list . (and (not $v.operator.enabled) (not $replicas)) (printf "%s.consumers.replicas" $key) "operator.enabled is false, so say how many there are") -}}
{{- include "aftercall.unless" (list . (and (not $v.operator.enabled) (ne $pool.mode "Operator")) (printf "%s.mode" $key) (printf "%s says what the operator does, and operator.enabled is false" $pool.mode)) -}}
{{- include "aftercall.validation.env" (merge (dict "key" (printf "%s.consumers.pod" $key) "pod" $consumers.pod) .) -}}
{{- end -}}

{{- define "aftercall.validation.backend" -}}
{{- $v := .root.Values -}}
{{- $key := .key -}}
{{- $pool := .pool -}}
{{- $speech := $pool.speech -}}
{{- $own := dict "triton" "Triton" "ray" "Ray" "external" "External" -}}
{{- range $name, $backend := $own -}}
{{- include "aftercall.unless" (list $ (and (hasKey $pool.given $name) (ne $pool.backend $backend)) (printf "%s.%s" $key $name) (printf "backend is %s, and a pool has one" $pool.backend)) -}}
{{- end -}}
{{- $served := has $pool.backend (list "Triton" "Ray") -}}
{{- $model := $pool.model -}}
{{- if ne $pool.backend "External" -}}
{{- include "aftercall.unless" (list . (empty $model.name) (printf "%s.model.name" $key) "say which model") -}}
{{- include "aftercall.unless" (list . (and (not (empty $model.name)) (ne $v.models.source "Hub") (not (hasPrefix "/" $model.name))) (printf "%s.model.name" $key) (printf "%s is no folder; nothing is fetched from the hub with models.source %s" $model.name $v.models.source)) -}}
{{- end -}}
{{- if eq $model.engine "tensorrt_llm" -}}
{{- include "aftercall.unless" (list . (or (not $served) (ne $speech.device "cuda")) (printf "%s.model.engine" $key) "tensorrt_llm runs on GPUs, in Triton or Ray") -}}
{{- include "aftercall.unless" (list . (gt (int64 $model.beamSize) 1) (printf "%s.model.beamSize" $key) "tensorrt_llm has no beams") -}}
{{- end -}}
{{- $replicas := not (kindIs "invalid" $speech.replicas) -}}
{{- if $served -}}
{{- include "aftercall.validation.server" (merge (dict "key" (printf "%s.speech" $key) "server" $speech "given" (default (dict) $pool.given.speech)) .) -}}
{{- include "aftercall.unless" (list . (gt (int64 $speech.minReplicas) (int64 $speech.maxReplicas)) (printf "%s.speech.minReplicas" $key) (printf "%d is more than maxReplicas, %d" (int64 $speech.minReplicas) (int64 $speech.maxReplicas))) -}}
{{- include "aftercall.unless" (list . (gt (int64 $speech.drainTargetSeconds) (int64 $pool.promiseSeconds)) (printf "%s.speech.drainTargetSeconds" $key) (printf "%d s to work off what waits is more than promiseSeconds, %d s" (int64 $speech.drainTargetSeconds) (int64 $pool.promiseSeconds))) -}}
{{- include "aftercall.unless" (list . (and $replicas $v.operator.enabled (ne $pool.mode "External")) (printf "%s.speech.replicas" $key) (printf "in mode %s it is not the chart's to set; give minReplicas and maxReplicas, or set mode: External" $pool.mode)) -}}
{{- include "aftercall.unless" (list . (and (not $replicas) $v.operator.enabled (eq $pool.mode "External")) (printf "%s.speech.replicas" $key) "in mode External say how many there are at first; an autoscaler on the pool's scale subresource changes it") -}}
{{- include "aftercall.unless" (list . (and (not $replicas) (not $v.operator.enabled)) (printf "%s.speech.replicas" $key) "operator.enabled is false, so say how many there are") -}}
{{- else -}}
{{- $scaled := list -}}
{{- range $name, $_ := default (dict) $pool.given.speech -}}
{{- if not (has $name (list "threads" "device")) -}}{{- $scaled = append $scaled $name -}}{{- end -}}
{{- end -}}
{{- include "aftercall.unless" (list . (not (empty $scaled)) (printf "%s.speech" $key) (printf "backend %s has no speech replicas that could have %s" $pool.backend (join ", " $scaled))) -}}
{{- include "aftercall.unless" (list . (eq $pool.mode "External") (printf "%s.mode" $key) (printf "backend %s has no speech replicas for an autoscaler" $pool.backend)) -}}
{{- end -}}
{{- if eq $pool.backend "Ray" -}}
{{- $kubeRay := include "aftercall.has" (dict "root" .root "said" $v.capabilities.kubeRay "kind" "ray.io/v1/RayService") -}}
{{- include "aftercall.unless" (list . (empty $kubeRay) (printf "%s.backend" $key) "KubeRay's CRDs are not there; install it first (or, where there is no cluster to ask, set capabilities.kubeRay: Present)") -}}
{{- include "aftercall.unless" (list . (gt (len $pool.speechName) 41) $key (printf "%s has more than 41 characters, and KubeRay makes longer names of it; shorten the pool's name, or set fullnameOverride" $pool.speechName)) -}}
{{- include "aftercall.validation.env" (merge (dict "key" (printf "%s.ray.head.pod" $key) "pod" $pool.ray.head.pod) .) -}}
{{- $count := int64 $speech.gpu.count -}}
{{- $share := int64 $pool.ray.replicasPerWorker -}}
{{- include "aftercall.unless" (list . (and (eq $speech.device "cuda") (gt $count $share) (ne (mod $count $share) 0)) (printf "%s.ray.replicasPerWorker" $key) (printf "%d replicas cannot share %d GPUs evenly, and Ray gives none away in parts beyond the first" $share $count)) -}}
{{- end -}}
{{- if and $served (not $v.operator.enabled) -}}
{{- include "aftercall.unless" (list . (and $replicas (eq (int64 (default 0 $speech.replicas)) 0)) (printf "%s.speech.replicas" $key) "without operator nobody would ever start one") -}}
{{- end -}}
{{- if eq $pool.backend "InProcess" -}}
{{- include "aftercall.unless" (list . (and (hasKey (default (dict) $pool.given.speech) "device") (eq $speech.device "cuda")) (printf "%s.speech.device" $key) "consumers hear on CPUs; take Triton or Ray for GPUs") -}}
{{- end -}}
{{- if eq $pool.backend "External" -}}
{{- $url := $pool.external.url -}}
{{- include "aftercall.unless" (list . (empty $url) (printf "%s.external.url" $key) "say where the server is") -}}
{{- if $url -}}
{{- $host := get (urlParse $url) "hostname" -}}
{{- include "aftercall.unless" (list . (eq $v.tenants.source "Any") (printf "%s.external.url" $key) (printf "audio leaves only for tenants whose policy lists %s, and tenants.source Any has no policies" $host)) -}}
{{- $listed := list -}}
{{- range concat (default list $v.tenants.resources) (default list $v.tenants.list) -}}
{{- $policy := default (default (dict) .egress_hosts) (dig "spec" "egressHosts" (dict) .) -}}
{{- if has $host (default list $policy) -}}{{- $listed = append $listed .name -}}{{- end -}}
{{- end -}}
{{- include "aftercall.unless" (list . (and (or $v.tenants.resources $v.tenants.list) (empty $listed)) (printf "%s.external.url" $key) (printf "no tenant lists %s among the hosts that may hear its calls (egressHosts), so nothing would be transcribed" $host)) -}}
{{- end -}}
{{- end -}}
{{- include "aftercall.validation.env" (merge (dict "key" (printf "%s.speech.pod" $key) "pod" $speech.pod) .) -}}
{{- end -}}

{{/* A server with or without a GPU: "key", "server", "given" (what was said of it). */}}
{{- define "aftercall.validation.server" -}}
{{- $server := .server -}}
{{- $name := $server.gpu.resourceName -}}
{{- include "aftercall.unless" (list . (and (eq $server.device "cuda") (lt (int64 $server.gpu.count) 1)) (printf "%s.gpu.count" .key) "device cuda needs a GPU; set device: cpu for none") -}}
{{- include "aftercall.unless" (list . (and (eq $server.device "cpu") (hasKey .given "gpu") (ne (toJson .server) (toJson .given))) (printf "%s.gpu" .key) "device is cpu, so it would be ignored") -}}
{{- include "aftercall.unless" (list . (and (contains "mig" $name) (not (regexMatch "^nvidia\\.com/mig-[1-9][0-9]*g\\.[1-9][0-9]*gb(\\.[a-z0-9.]+)?$" $name))) (printf "%s.gpu.resourceName" .key) (printf "%s is no partition of a GPU; they are named like nvidia.com/mig-1g.6gb" $name)) -}}
{{- include "aftercall.unless" (list . (lt (int64 $server.terminationGracePeriodSeconds) (add (int64 $server.drainSeconds) 5)) (printf "%s.terminationGracePeriodSeconds" .key) (printf "%d s end before drainSeconds + 5 s = %d s, and what is held would be lost" (int64 $server.terminationGracePeriodSeconds) (add (int64 $server.drainSeconds) 5))) -}}
{{- end -}}

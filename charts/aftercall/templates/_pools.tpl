{{/* Pools, whole: each over `poolDefaults`, with what follows from the rest of the values. As YAML, by name. */}}
{{- define "aftercall.pools" -}}
{{- $all := dict -}}
{{- range $name, $given := .Values.pools -}}
{{- $pool := mergeOverwrite (deepCopy $.Values.poolDefaults) (deepCopy (default (dict) $given)) -}}
{{- $_ := set $pool "name" $name -}}
{{- $_ := set $pool "given" (default (dict) $given) -}}
{{- $_ := set $pool "consumerGroup" (default $.Values.kafka.consumerGroup $pool.consumerGroup) -}}
{{- $_ := set $pool "deferredTopic" (default $.Values.kafka.topics.deferred $pool.deferredTopic) -}}
{{- $_ := set $pool "parkedTopic" (default $.Values.kafka.topics.parked $pool.parkedTopic) -}}
{{- $_ := set $pool "consumersName" (printf "%s-%s-consumers" (include "aftercall.fullname" $) $name) -}}
{{- $_ := set $pool "speechName" (printf "%s-%s-speech" (include "aftercall.fullname" $) $name) -}}
{{- $_ := set $all $name $pool -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The pool that a component works with: (dict "root" $ "key" "api.pool" "named" .Values.api.pool). As YAML. */}}
{{- define "aftercall.poolOf" -}}
{{- $pools := include "aftercall.pools" .root | fromYaml -}}
{{- if .named -}}
{{- if not (hasKey $pools .named) -}}
{{- fail (printf "%s: there is no pool %q; pools are %s" .key .named (keys $pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- get $pools .named | toYaml -}}
{{- else if eq (len $pools) 1 -}}
{{- first (values $pools) | toYaml -}}
{{- else -}}
{{- fail (printf "%s: there are several pools, so name one of %s" .key (keys $pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}

{{/* Where consumers reach their speech servers: a pool. */}}
{{- define "aftercall.speechUrl" -}}
{{- $host := printf "%s.%s.svc" .pool.speechName .root.Release.Namespace -}}
{{- if eq .pool.backend "Triton" -}}grpc://{{ $host }}:8001
{{- else if eq .pool.backend "Ray" -}}http://{{ $host }}:8000
{{- else if eq .pool.backend "External" -}}{{ .pool.external.url }}
{{- end -}}
{{- end -}}

{{/* The TranscriptionPool's specification: (dict "root" $ "pool" <pool>). */}}
{{- define "aftercall.poolSpec" -}}
{{- $pool := .pool -}}
mode: {{ $pool.mode }}
promiseSeconds: {{ int64 $pool.promiseSeconds }}
consumerGroup: {{ $pool.consumerGroup }}
topics:
  {{- range $pool.topics }}
  - name: {{ .name }}
    lane: {{ default "Live" .lane }}
    {{- with .promiseSeconds }}
    promiseSeconds: {{ int64 . }}
    {{- end }}
  {{- end }}
deferredTopic: {{ $pool.deferredTopic }}
backend:
  {{- if eq $pool.backend "Triton" }}
  kind: Deployment
  deployment: {name: {{ $pool.speechName }}}
  {{- else if eq $pool.backend "Ray" }}
  kind: RayServe
  rayServe: {service: {{ $pool.speechName }}-head-svc, port: 8265, application: aftercall, deployment: speech}
  {{- else }}
  kind: External
  {{- end }}
{{- if has $pool.backend (list "Triton" "Ray") }}
scaling:
  {{- with $pool.speech }}
  minReplicas: {{ int64 .minReplicas }}
  maxReplicas: {{ int64 .maxReplicas }}
  drainTargetSeconds: {{ int64 .drainTargetSeconds }}
  headroomPercent: {{ int64 .headroomPercent }}
  stabilizationSeconds: {{ int64 .stabilizationSeconds }}
  coldStartSeconds: {{ int64 .coldStartSeconds }}
  capacityAudioSecondsPerMinute: {{ int64 .capacityAudioSecondsPerMinute }}
  {{- with .maxStep }}
  maxStep: {{ int64 . }}
  {{- end }}
  {{- end }}
{{- end }}
consumers:
  deployment: {{ $pool.consumersName }}
  {{- with $pool.consumers }}
  minReplicas: {{ int64 .minReplicas }}
  maxReplicas: {{ int64 .maxReplicas }}
  stabilizationSeconds: {{ int64 .stabilizationSeconds }}
  capacityAudioSecondsPerMinute: {{ int64 .capacityAudioSecondsPerMinute }}
  {{- end }}
{{- if eq $pool.mode "External" }}
replicas: {{ include "aftercall.pool.replicas" . }}
{{- end }}
{{- end -}}

{{/* Replicas of a pool in mode External: (dict "root" $ "pool" <pool>). Those that its autoscaler has asked for, where the
pool is there; an upgrade that said another number would be refused by the API server, or undo the autoscaler's. */}}
{{- define "aftercall.pool.replicas" -}}
{{- $asked := .pool.speech.replicas -}}
{{- if include "aftercall.has" (dict "root" .root "said" "Auto" "kind" "aftercall.io/v1alpha1/TranscriptionPool") -}}
{{- $live := lookup "aftercall.io/v1alpha1" "TranscriptionPool" .root.Release.Namespace .pool.name -}}
{{- $asked = dig "spec" "replicas" $asked $live -}}
{{- end -}}
{{- int64 $asked -}}
{{- end -}}

{{/* Every custom resource of the release, `{kind, component, pool, name, spec}`, as YAML under `all`. */}}
{{- define "aftercall.customResources" -}}
{{- $all := list -}}
{{- if .Values.operator.enabled -}}
{{- range $name, $pool := include "aftercall.pools" . | fromYaml -}}
{{- $spec := include "aftercall.poolSpec" (dict "root" $ "pool" $pool) | fromYaml -}}
{{- $all = append $all (dict "kind" "TranscriptionPool" "component" "pool" "pool" $name "name" $name "spec" $spec) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.tenants.source "Resources" -}}
{{- range .Values.tenants.resources -}}
{{- $all = append $all (dict "kind" "Tenant" "component" "tenant" "name" .name "spec" (default (dict) .spec)) -}}
{{- end -}}
{{- if .Values.tests.enabled -}}
{{- $pool := include "aftercall.poolOf" (dict "root" . "key" "tests.pool" "named" .Values.tests.pool) | fromYaml -}}
{{- $spec := dict "weight" 1 -}}
{{- if eq $pool.backend "External" -}}
{{- $_ := set $spec "egressHosts" (list (get (urlParse $pool.external.url) "hostname")) -}}
{{- end -}}
{{- $all = append $all (dict "kind" "Tenant" "component" "test" "name" .Values.tests.tenant "spec" $spec) -}}
{{- end -}}
{{- end -}}
{{- dict "all" $all | toYaml -}}
{{- end -}}

{{/* How a custom resource of ours comes to be: one of `aftercall.customResources`, and "root".
A release cannot hold a kind that its own CRD only brings. So at first a hook makes it, after everything else and marked as
the release's own; from the next revision on it is one of the release's objects, which Helm adopts. Uninstalling before
that takes it away by a hook, too. */}}
{{- define "aftercall.customResource" -}}
{{- $there := include "aftercall.has" (dict "root" .root "said" .root.Values.capabilities.aftercall "kind" (printf "aftercall.io/v1alpha1/%s" .kind)) -}}
{{- $owned := dict "meta.helm.sh/release-name" .root.Release.Name "meta.helm.sh/release-namespace" .root.Release.Namespace "aftercall.io/made-by" (include "aftercall.madeByHook" .) -}}
{{- if $there }}
{{- include "aftercall.customResource.one" (merge (dict "annotations" (dict "aftercall.io/made-by" (printf "revision-%d" (int .root.Release.Revision)))) .) }}
{{- else }}
{{- include "aftercall.customResource.one" (merge (dict "annotations" (merge (dict "helm.sh/hook" "post-install,post-upgrade,post-rollback" "helm.sh/hook-weight" "20") $owned)) .) }}
{{- /* CRDs that are not kept take them along as they go, and no object of a kind that is gone can be made. */}}
{{- if or .root.Values.crds.keep (not .root.Values.crds.install) }}
{{- include "aftercall.customResource.one" (merge (dict "annotations" (merge (dict "helm.sh/hook" "post-delete" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded") $owned)) .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "aftercall.madeByHook" -}}
{{- /* What an autoscaler changes of an object is no change of what is wanted. */ -}}
{{- printf "hook-%s" (toJson (omit .spec "replicas") | sha256sum | trunc 16) -}}
{{- end -}}

{{/* What a hook made and is no longer wanted, or not like that: (dict "root" $). As it adopts an object, Helm 3 takes for
granted that it is what the new manifest says, and what no manifest ever held it does not delete. So a hook before the
upgrade takes these away: by Helm's rules it deletes, makes, and deletes again. Those wanted come anew as the release's;
all that is lost is what was learned of a replica. An object that no hook made last says so by its annotation, which is
another one in each revision, so that Helm writes it. */}}
{{- define "aftercall.outdated" -}}
{{- /* A kind that comes with this upgrade cannot be looked up. */ -}}
{{- $there := include "aftercall.has" (dict "root" .root "said" "Auto" "kind" "aftercall.io/v1alpha1/TranscriptionPool") -}}
{{- if and .root.Release.IsUpgrade $there -}}
{{- $wanted := dict -}}
{{- range (include "aftercall.customResources" .root | fromYaml).all -}}
{{- $_ := set $wanted (printf "%s %s" .kind .name) (include "aftercall.madeByHook" .) -}}
{{- end -}}
{{- range $kind := list "TranscriptionPool" "Tenant" -}}
{{- range (lookup "aftercall.io/v1alpha1" $kind $.root.Release.Namespace "").items -}}
{{- $made := dig "annotations" "aftercall.io/made-by" "" .metadata -}}
{{- $ours := eq (dig "labels" "app.kubernetes.io/instance" "" .metadata) $.root.Release.Name -}}
{{- if and $ours (hasPrefix "hook-" $made) (ne $made (default "" (get $wanted (printf "%s %s" $kind .metadata.name)))) }}
{{- include "aftercall.customResource.one" (dict "root" $.root "kind" $kind "component" "outdated" "name" .metadata.name "spec" .spec "annotations" (dict "helm.sh/hook" "pre-upgrade" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded")) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "aftercall.customResource.one" }}
---
apiVersion: aftercall.io/v1alpha1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
spec:
  {{- toYaml .spec | nindent 2 }}
{{- end -}}

{{/* Whether something has to wait for our kinds: they come with this release. "true" or nothing. */}}
{{- define "aftercall.kinds.come" -}}
{{- $there := include "aftercall.has" (dict "root" . "said" .Values.capabilities.aftercall "kind" "aftercall.io/v1alpha1/TranscriptionPool") -}}
{{- if and .Values.operator.enabled .Values.crds.install (not $there) -}}true{{- end -}}
{{- end -}}

{{/* Waits until the API server serves our kinds, which it does a moment after it has taken their CRDs. */}}
{{- define "aftercall.awaitKinds" -}}
import json, os, ssl, sys, time, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
host = os.environ["KUBERNETES_SERVICE_HOST"]
address = "https://" + ("[" + host + "]" if ":" in host else host) + ":" + os.environ["KUBERNETES_SERVICE_PORT"] + "/apis/aftercall.io/v1alpha1"
trust = ssl.create_default_context(cafile=folder + "ca.crt")
request = urllib.request.Request(address, headers={"Authorization": "Bearer " + open(folder + "token").read()})
for _ in range(120):
    try:
        told = json.load(urllib.request.urlopen(request, context=trust, timeout=5))
        if {"TranscriptionPool", "Tenant"} <= {each["kind"] for each in told["resources"]}:
            sys.exit(0)
    except OSError as exc:
        print("not served yet:", exc)
    time.sleep(0.5)
sys.exit("aftercall.io/v1alpha1 is not served within a minute: are its CRDs there, and established?")
{{- end -}}

{{/* What pods have in common. Each part takes (dict "root" $ "component" "relay" "pool" "" "pod" <values> "priority" ""). */}}

{{/* A component's `pod` over `podDefaults`. */}}
{{- define "aftercall.podValues" -}}
{{- mergeOverwrite (deepCopy .root.Values.podDefaults) (deepCopy (default (dict) .pod)) | toYaml -}}
{{- end -}}

{{/* Labels and annotations of a pod; "checksum" is of its settings. */}}
{{- define "aftercall.podMetadata" -}}
{{- $pod := include "aftercall.podValues" . | fromYaml -}}
labels:
  {{- /* Neither the chart's version nor the application's: only what changes a pod restarts it. */}}
  {{- include "aftercall.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: aftercall
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .container }}
  {{- with .checksum }}
  checksum/settings: {{ . | sha256sum }}
  {{- end }}
  {{- with merge (dict) $pod.annotations .root.Values.commonAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Who a pod is, and where it may run; "account", "user", "token" ("true": the API server is called). */}}
{{- define "aftercall.podSpec" -}}
{{- $pod := include "aftercall.podValues" . | fromYaml -}}
{{- $user := int (default 10001 .user) -}}
{{- with .account }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: {{ eq (default "" .token) "true" }}
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $user }}
  runAsGroup: {{ $user }}
  fsGroup: {{ $user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $pod.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $pod.topologySpreadConstraints | nindent 2 }}
{{- else if ne $pod.spread "None" }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq $pod.spread "Hard") }}
    labelSelector:
      matchLabels:
        {{- include "aftercall.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- if $pod.priorityClassName }}
priorityClassName: {{ $pod.priorityClassName }}
{{- else if and .root.Values.priorityClasses.create .priority }}
priorityClassName: {{ include "aftercall.priorityClass" (dict "root" .root "priority" .priority) }}
{{- end }}
{{- with $pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $pod.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- end -}}

{{/* Priority classes are the cluster's, so the namespace is in their names; and their value, which cannot change. */}}
{{- define "aftercall.priorityClass" -}}
{{- printf "%s-%s-%s-%d" .root.Release.Namespace (include "aftercall.fullname" .root) .priority (int (get .root.Values.priorityClasses .priority)) -}}
{{- end -}}

{{- define "aftercall.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Volumes of every pod: `/tmp`, and what values add. */}}
{{- define "aftercall.commonVolumes" -}}
{{- $pod := include "aftercall.podValues" . | fromYaml -}}
- name: tmp
  emptyDir: {sizeLimit: {{ $pod.tmpSize }}}
{{- with $pod.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "aftercall.commonMounts" -}}
{{- $pod := include "aftercall.podValues" . | fromYaml -}}
- {name: tmp, mountPath: /tmp}
{{- with $pod.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "aftercall.extraEnv" -}}
{{- $pod := include "aftercall.podValues" . | fromYaml -}}
{{- with $pod.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Probes of a component that serves `telemetry`; "startupSeconds". */}}
{{- define "aftercall.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 5
  failureThreshold: {{ div (add (int .startupSeconds) 4) 5 }}
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* Models, as a volume named `models`, with what fills it. Takes (dict "root" $). */}}
{{- define "aftercall.models.volumes" -}}
{{- $models := .root.Values.models -}}
{{- if eq $models.source "Claim" }}
- name: models
  persistentVolumeClaim: {claimName: {{ $models.claim }}, readOnly: true}
{{- else if has $models.source (list "Image" "Hub") }}
- name: models
  emptyDir: {sizeLimit: {{ $models.copySize }}}
{{- end }}
{{- end -}}

{{- define "aftercall.models.mounts" -}}
{{- $models := .root.Values.models -}}
{{- if ne $models.source "Baked" }}
- {name: models, mountPath: {{ $models.path }}, readOnly: {{ ne $models.source "Hub" }}}
{{- end }}
{{- end -}}

{{/* Models are fetched from nowhere, but with `Hub`. */}}
{{- define "aftercall.models.env" -}}
{{- $models := .root.Values.models -}}
{{- if eq $models.source "Hub" }}
- {name: HF_HUB_OFFLINE, value: "0"}
- {name: HF_HOME, value: {{ $models.path }}/hub}
{{- end }}
{{- end -}}

{{- define "aftercall.models.init" -}}
{{- $models := .root.Values.models -}}
{{- if eq $models.source "Image" }}
- name: models
  image: {{ include "aftercall.image" (dict "root" .root "image" $models.image) }}
  imagePullPolicy: {{ $models.image.pullPolicy }}
  # Mounted at models.path, the empty volume would hide the image's own folder of that name.
  command: [cp, -R, {{ printf "%s/." $models.image.folder }}, /aftercall-models]
  {{- include "aftercall.containerSecurity" . | nindent 2 }}
  resources:
    requests: {cpu: 100m, memory: 64Mi}
    limits: {memory: 256Mi}
  volumeMounts:
    - {name: models, mountPath: /aftercall-models}
{{- end }}
{{- end -}}

{{/* What a drain of nodes may take at once: as metadata, "name", "maxUnavailable". Never `minAvailable`: it would block the
drain of the last one's node for ever. */}}
{{- define "aftercall.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ int .maxUnavailable }}
  # A pod that never became ready protects nothing.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "aftercall.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* An account that is given no token by itself: as metadata, "name". */}}
{{- define "aftercall.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" (merge (dict "annotations" .root.Values.serviceAccount.annotations) .) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* A Triton server: (dict "root" $ "component" … "pool" … "name" … "server" <values> "image" <values> "render" <arguments> "args" <list>). */}}
{{- define "aftercall.triton" -}}
{{- $server := .server -}}
{{- $gpu := eq $server.device "cuda" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
spec:
  {{- if .replicas }}
  replicas: {{ int .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # GPUs are dear: one goes before the next comes, unless maxSurge says otherwise.
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: {{ int $server.maxSurge }}, maxUnavailable: {{ int $server.maxUnavailable }}}
  selector:
    matchLabels:
      {{- include "aftercall.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      {{- include "aftercall.podMetadata" . | nindent 6 }}
    spec:
      {{- include "aftercall.podSpec" . | nindent 6 }}
      # {{ $server.drainSeconds }} s to answer what is held + {{ sub $server.terminationGracePeriodSeconds $server.drainSeconds }} s for the server's own end.
      terminationGracePeriodSeconds: {{ int $server.terminationGracePeriodSeconds }}
      initContainers:
        - name: repository
          image: {{ include "aftercall.image" (dict "root" .root "image" .root.Values.image) }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: {{ concat (list "triton" "render" "/repository") .render | toJson }}
          {{- include "aftercall.containerSecurity" .root | nindent 10 }}
          resources:
            requests: {cpu: 100m, memory: 256Mi}
            limits: {memory: 512Mi}
          volumeMounts:
            - {name: repository, mountPath: /repository}
            - {name: tmp, mountPath: /tmp}
        {{- include "aftercall.models.init" . | nindent 8 }}
      containers:
        - name: triton
          image: {{ include "aftercall.image" (dict "root" .root "image" .image) }}
          imagePullPolicy: {{ .image.pullPolicy }}
          args:
            - tritonserver
            - --model-repository=/repository
            - --disable-auto-complete-config
            - --exit-timeout-secs={{ int $server.drainSeconds }}
            {{- range .args }}
            - {{ . | quote }}
            {{- end }}
          {{- include "aftercall.containerSecurity" .root | nindent 10 }}
          ports:
            - {name: http, containerPort: 8000}
            - {name: grpc, containerPort: 8001}
            - {name: metrics, containerPort: 8002}
          env:
            - {name: HOME, value: /tmp}
            {{- include "aftercall.models.env" . | nindent 12 }}
            {{- include "aftercall.extraEnv" . | nindent 12 }}
          # Ready once every model is loaded and warm.
          startupProbe:
            httpGet: {path: /v2/health/ready, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: {{ div (add (int $server.startupSeconds) 4) 5 }}
          livenessProbe:
            httpGet: {path: /v2/health/live, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /v2/health/ready, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
          resources:
            {{- include "aftercall.gpuResources" $server | nindent 12 }}
          volumeMounts:
            - {name: repository, mountPath: /repository, readOnly: true}
            - {name: shm, mountPath: /dev/shm}
            {{- include "aftercall.models.mounts" . | nindent 12 }}
            {{- include "aftercall.commonMounts" . | nindent 12 }}
      volumes:
        - name: repository
          emptyDir: {sizeLimit: 16Mi}
        - name: shm
          emptyDir: {medium: Memory, sizeLimit: {{ $server.sharedMemorySize }}}
        {{- include "aftercall.models.volumes" . | nindent 8 }}
        {{- include "aftercall.commonVolumes" . | nindent 8 }}
{{- end -}}

{{/* Requests and limits of a server, its GPU among them: a server's values. */}}
{{- define "aftercall.gpuResources" -}}
{{- $resources := deepCopy .resources -}}
{{- if eq .device "cuda" -}}
{{- $limits := default (dict) $resources.limits -}}
{{- $_ := set $limits .gpu.resourceName (int .gpu.count) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* A headless Service: clients find every server behind it, and spread over them by themselves. */}}
{{- define "aftercall.headless" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $port }}}
    {{- end }}
  selector:
    {{- include "aftercall.selectorLabels" . | nindent 4 }}
    {{- with .selector }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

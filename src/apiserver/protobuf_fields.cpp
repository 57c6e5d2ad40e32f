// The messages of the kinds that protobuf bodies may hold (protobuf.h), taken from the protobuf and json tags of
// k8s.io/api v0.34. One message: its name, then its fields as <number><json name>:<type>.
//
//   s text · i integer · b yes or no · y bytes      S I B: a pointer in Go, so that its zero is a value and not absence
//   [T repeated · <T map from text                   <number>^T: the fields of T stand in the message's own JSON object
//   Time MicroTime Quantity IntOrString RawExtension FieldsV1: messages with a JSON form of their own
//
// A field that is not here is refused by name, never dropped. An indented line goes on with the message above it.
#include "apiserver/protobuf.h"

namespace weft::apiserver {

std::string_view protobuf_fields() {
    return R"(
Namespace 1metadata:ObjectMeta 2spec:NamespaceSpec 3status:NamespaceStatus
ObjectMeta 1name:s 2generateName:s 3namespace:s 4selfLink:s 5uid:s 6resourceVersion:s 7generation:i
  8creationTimestamp:Time 9deletionTimestamp:Time 10deletionGracePeriodSeconds:I 11labels:<s 12annotations:<s
  13ownerReferences:[OwnerReference 14finalizers:[s 17managedFields:[ManagedFieldsEntry
OwnerReference 5apiVersion:s 1kind:s 3name:s 4uid:s 6controller:B 7blockOwnerDeletion:B
ManagedFieldsEntry 1manager:s 2operation:s 3apiVersion:s 4time:Time 6fieldsType:s 7fieldsV1:FieldsV1 8subresource:s
NamespaceSpec 1finalizers:[s
NamespaceStatus 1phase:s 2conditions:[NamespaceCondition
NamespaceCondition 1type:s 2status:s 4lastTransitionTime:Time 5reason:s 6message:s
ConfigMap 1metadata:ObjectMeta 4immutable:B 2data:<s 3binaryData:<y
Secret 1metadata:ObjectMeta 5immutable:B 2data:<y 4stringData:<s 3type:s
ServiceAccount 1metadata:ObjectMeta 2secrets:[ObjectReference 3imagePullSecrets:[LocalObjectReference
  4automountServiceAccountToken:B
ObjectReference 1kind:s 2namespace:s 3name:s 4uid:s 5apiVersion:s 6resourceVersion:s 7fieldPath:s
LocalObjectReference 1name:s
Service 1metadata:ObjectMeta 2spec:ServiceSpec 3status:ServiceStatus
ServiceSpec 1ports:[ServicePort 2selector:<s 3clusterIP:s 18clusterIPs:[s 4type:s 5externalIPs:[s 7sessionAffinity:s
  8loadBalancerIP:s 9loadBalancerSourceRanges:[s 10externalName:s 11externalTrafficPolicy:s 12healthCheckNodePort:i
  13publishNotReadyAddresses:b 14sessionAffinityConfig:SessionAffinityConfig 19ipFamilies:[s 17ipFamilyPolicy:S
  20allocateLoadBalancerNodePorts:B 21loadBalancerClass:S 22internalTrafficPolicy:S 23trafficDistribution:S
ServicePort 1name:s 2protocol:s 6appProtocol:S 3port:i 4targetPort:IntOrString 5nodePort:i
SessionAffinityConfig 1clientIP:ClientIPConfig
ClientIPConfig 1timeoutSeconds:I
ServiceStatus 1loadBalancer:LoadBalancerStatus 2conditions:[Condition
LoadBalancerStatus 1ingress:[LoadBalancerIngress
LoadBalancerIngress 1ip:s 2hostname:s 3ipMode:S 4ports:[PortStatus
PortStatus 1port:i 2protocol:s 3error:S
Condition 1type:s 2status:s 3observedGeneration:i 4lastTransitionTime:Time 5reason:s 6message:s
Pod 1metadata:ObjectMeta 2spec:PodSpec 3status:PodStatus
PodSpec 1volumes:[Volume 20initContainers:[Container 2containers:[Container 34ephemeralContainers:[EphemeralContainer
  3restartPolicy:s 4terminationGracePeriodSeconds:I 5activeDeadlineSeconds:I 6dnsPolicy:s 7nodeSelector:<s
  8serviceAccountName:s 9serviceAccount:s 21automountServiceAccountToken:B 10nodeName:s 11hostNetwork:b 12hostPID:b
  13hostIPC:b 27shareProcessNamespace:B 14securityContext:PodSecurityContext 15imagePullSecrets:[LocalObjectReference
  16hostname:s 17subdomain:s 18affinity:Affinity 19schedulerName:s 22tolerations:[Toleration 23hostAliases:[HostAlias
  24priorityClassName:s 25priority:I 26dnsConfig:PodDNSConfig 28readinessGates:[PodReadinessGate 29runtimeClassName:S
  30enableServiceLinks:B 31preemptionPolicy:S 32overhead:<Quantity
  33topologySpreadConstraints:[TopologySpreadConstraint 35setHostnameAsFQDN:B 36os:PodOS 37hostUsers:B
  38schedulingGates:[PodSchedulingGate 40resources:ResourceRequirements 41hostnameOverride:S
Volume 1name:s 2^VolumeSource
VolumeSource 1hostPath:HostPathVolumeSource 2emptyDir:EmptyDirVolumeSource 6secret:SecretVolumeSource
  10persistentVolumeClaim:PersistentVolumeClaimVolumeSource 16downwardAPI:DownwardAPIVolumeSource
  19configMap:ConfigMapVolumeSource 26projected:ProjectedVolumeSource 28csi:CSIVolumeSource 30image:ImageVolumeSource
HostPathVolumeSource 1path:s 2type:S
EmptyDirVolumeSource 1medium:s 2sizeLimit:Quantity
SecretVolumeSource 1secretName:s 2items:[KeyToPath 3defaultMode:I 4optional:B
KeyToPath 1key:s 2path:s 3mode:I
PersistentVolumeClaimVolumeSource 1claimName:s 2readOnly:b
DownwardAPIVolumeSource 1items:[DownwardAPIVolumeFile 2defaultMode:I
DownwardAPIVolumeFile 1path:s 2fieldRef:ObjectFieldSelector 3resourceFieldRef:ResourceFieldSelector 4mode:I
ObjectFieldSelector 1apiVersion:s 2fieldPath:s
ResourceFieldSelector 1containerName:s 2resource:s 3divisor:Quantity
ConfigMapVolumeSource 1^LocalObjectReference 2items:[KeyToPath 3defaultMode:I 4optional:B
ProjectedVolumeSource 1sources:[VolumeProjection 2defaultMode:I
VolumeProjection 1secret:SecretProjection 2downwardAPI:DownwardAPIProjection 3configMap:ConfigMapProjection
  4serviceAccountToken:ServiceAccountTokenProjection 5clusterTrustBundle:ClusterTrustBundleProjection
  6podCertificate:PodCertificateProjection
SecretProjection 1^LocalObjectReference 2items:[KeyToPath 4optional:B
DownwardAPIProjection 1items:[DownwardAPIVolumeFile
ConfigMapProjection 1^LocalObjectReference 2items:[KeyToPath 4optional:B
ServiceAccountTokenProjection 1audience:s 2expirationSeconds:I 3path:s
ClusterTrustBundleProjection 1name:S 2signerName:S 3labelSelector:LabelSelector 5optional:B 4path:s
LabelSelector 1matchLabels:<s 2matchExpressions:[LabelSelectorRequirement
LabelSelectorRequirement 1key:s 2operator:s 3values:[s
PodCertificateProjection 1signerName:s 2keyType:s 3maxExpirationSeconds:I 4credentialBundlePath:s 5keyPath:s
  6certificateChainPath:s
CSIVolumeSource 1driver:s 2readOnly:B 3fsType:S 4volumeAttributes:<s 5nodePublishSecretRef:LocalObjectReference
ImageVolumeSource 1reference:s 2pullPolicy:s
Container 1name:s 2image:s 3command:[s 4args:[s 5workingDir:s 6ports:[ContainerPort 19envFrom:[EnvFromSource
  7env:[EnvVar 8resources:ResourceRequirements 24restartPolicy:S 9volumeMounts:[VolumeMount
  21volumeDevices:[VolumeDevice 10livenessProbe:Probe 11readinessProbe:Probe 22startupProbe:Probe
  12lifecycle:Lifecycle 13terminationMessagePath:s 20terminationMessagePolicy:s 14imagePullPolicy:s
  15securityContext:SecurityContext 16stdin:b 17stdinOnce:b 18tty:b
ContainerPort 1name:s 2hostPort:i 3containerPort:i 4protocol:s 5hostIP:s
EnvFromSource 1prefix:s 2configMapRef:ConfigMapEnvSource 3secretRef:SecretEnvSource
ConfigMapEnvSource 1^LocalObjectReference 2optional:B
SecretEnvSource 1^LocalObjectReference 2optional:B
EnvVar 1name:s 2value:s 3valueFrom:EnvVarSource
EnvVarSource 1fieldRef:ObjectFieldSelector 2resourceFieldRef:ResourceFieldSelector
  3configMapKeyRef:ConfigMapKeySelector 4secretKeyRef:SecretKeySelector 5fileKeyRef:FileKeySelector
ConfigMapKeySelector 1^LocalObjectReference 2key:s 3optional:B
SecretKeySelector 1^LocalObjectReference 2key:s 3optional:B
FileKeySelector 1volumeName:s 2path:s 3key:s 4optional:B
ResourceRequirements 1limits:<Quantity 2requests:<Quantity
VolumeMount 1name:s 2readOnly:b 7recursiveReadOnly:S 3mountPath:s 4subPath:s 5mountPropagation:S 6subPathExpr:s
VolumeDevice 1name:s 2devicePath:s
Probe 1^ProbeHandler 2initialDelaySeconds:i 3timeoutSeconds:i 4periodSeconds:i 5successThreshold:i
  6failureThreshold:i 7terminationGracePeriodSeconds:I
ProbeHandler 1exec:ExecAction 2httpGet:HTTPGetAction 3tcpSocket:TCPSocketAction 4grpc:GRPCAction
ExecAction 1command:[s
HTTPGetAction 1path:s 2port:IntOrString 3host:s 4scheme:s 5httpHeaders:[HTTPHeader
HTTPHeader 1name:s 2value:s
TCPSocketAction 1port:IntOrString 2host:s
GRPCAction 1port:i 2service:S
Lifecycle 1postStart:LifecycleHandler 2preStop:LifecycleHandler 3stopSignal:S
LifecycleHandler 1exec:ExecAction 2httpGet:HTTPGetAction 3tcpSocket:TCPSocketAction 4sleep:SleepAction
SleepAction 1seconds:i
SecurityContext 1capabilities:Capabilities 2privileged:B 3seLinuxOptions:SELinuxOptions 4runAsUser:I 8runAsGroup:I
  5runAsNonRoot:B 6readOnlyRootFilesystem:B 7allowPrivilegeEscalation:B 9procMount:S 11seccompProfile:SeccompProfile
  12appArmorProfile:AppArmorProfile
Capabilities 1add:[s 2drop:[s
SELinuxOptions 1user:s 2role:s 3type:s 4level:s
SeccompProfile 1type:s 2localhostProfile:S
AppArmorProfile 1type:s 2localhostProfile:S
EphemeralContainer 1^EphemeralContainerCommon 2targetContainerName:s
EphemeralContainerCommon 1name:s 2image:s 3command:[s 4args:[s 5workingDir:s 6ports:[ContainerPort
  19envFrom:[EnvFromSource 7env:[EnvVar 8resources:ResourceRequirements 24restartPolicy:S 9volumeMounts:[VolumeMount
  21volumeDevices:[VolumeDevice 10livenessProbe:Probe 11readinessProbe:Probe 22startupProbe:Probe
  12lifecycle:Lifecycle 13terminationMessagePath:s 20terminationMessagePolicy:s 14imagePullPolicy:s
  15securityContext:SecurityContext 16stdin:b 17stdinOnce:b 18tty:b
PodSecurityContext 1seLinuxOptions:SELinuxOptions 2runAsUser:I 6runAsGroup:I 3runAsNonRoot:B 4supplementalGroups:[i
  12supplementalGroupsPolicy:S 5fsGroup:I 7sysctls:[Sysctl 9fsGroupChangePolicy:S 10seccompProfile:SeccompProfile
  11appArmorProfile:AppArmorProfile 13seLinuxChangePolicy:S
Sysctl 1name:s 2value:s
Affinity 1nodeAffinity:NodeAffinity 2podAffinity:PodAffinity 3podAntiAffinity:PodAntiAffinity
NodeAffinity 1requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
  2preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm
NodeSelector 1nodeSelectorTerms:[NodeSelectorTerm
NodeSelectorTerm 1matchExpressions:[NodeSelectorRequirement 2matchFields:[NodeSelectorRequirement
NodeSelectorRequirement 1key:s 2operator:s 3values:[s
PreferredSchedulingTerm 1weight:i 2preference:NodeSelectorTerm
PodAffinity 1requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm
  2preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm
PodAffinityTerm 1labelSelector:LabelSelector 2namespaces:[s 3topologyKey:s 4namespaceSelector:LabelSelector
  5matchLabelKeys:[s 6mismatchLabelKeys:[s
WeightedPodAffinityTerm 1weight:i 2podAffinityTerm:PodAffinityTerm
PodAntiAffinity 1requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm
  2preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm
Toleration 1key:s 2operator:s 3value:s 4effect:s 5tolerationSeconds:I
HostAlias 1ip:s 2hostnames:[s
PodDNSConfig 1nameservers:[s 2searches:[s 3options:[PodDNSConfigOption
PodDNSConfigOption 1name:s 2value:S
PodReadinessGate 1conditionType:s
TopologySpreadConstraint 1maxSkew:i 2topologyKey:s 3whenUnsatisfiable:s 4labelSelector:LabelSelector 5minDomains:I
  6nodeAffinityPolicy:S 7nodeTaintsPolicy:S 8matchLabelKeys:[s
PodOS 1name:s
PodSchedulingGate 1name:s
PodStatus 17observedGeneration:i 1phase:s 2conditions:[PodCondition 3message:s 4reason:s 11nominatedNodeName:s
  5hostIP:s 16hostIPs:[HostIP 6podIP:s 12podIPs:[PodIP 7startTime:Time 10initContainerStatuses:[ContainerStatus
  8containerStatuses:[ContainerStatus 9qosClass:s 13ephemeralContainerStatuses:[ContainerStatus 14resize:s
PodCondition 1type:s 7observedGeneration:i 2status:s 3lastProbeTime:Time 4lastTransitionTime:Time 5reason:s 6message:s
HostIP 1ip:s
PodIP 1ip:s
ContainerStatus 1name:s 2state:ContainerState 3lastState:ContainerState 4ready:b 5restartCount:i 6image:s 7imageID:s
  8containerID:s 9started:B 10allocatedResources:<Quantity 11resources:ResourceRequirements 15stopSignal:S
ContainerState 1waiting:ContainerStateWaiting 2running:ContainerStateRunning 3terminated:ContainerStateTerminated
ContainerStateWaiting 1reason:s 2message:s
ContainerStateRunning 1startedAt:Time
ContainerStateTerminated 1exitCode:i 2signal:i 3reason:s 4message:s 5startedAt:Time 6finishedAt:Time 7containerID:s
Event 1metadata:ObjectMeta 2involvedObject:ObjectReference 3reason:s 4message:s 5source:EventSource
  6firstTimestamp:Time 7lastTimestamp:Time 8count:i 9type:s 10eventTime:MicroTime 11series:EventSeries 12action:s
  13related:ObjectReference 14reportingComponent:s 15reportingInstance:s
EventSource 1component:s 2host:s
EventSeries 1count:i 2lastObservedTime:MicroTime
Deployment 1metadata:ObjectMeta 2spec:DeploymentSpec 3status:DeploymentStatus
DeploymentSpec 1replicas:I 2selector:LabelSelector 3template:PodTemplateSpec 4strategy:DeploymentStrategy
  5minReadySeconds:i 6revisionHistoryLimit:I 7paused:b 9progressDeadlineSeconds:I
PodTemplateSpec 1metadata:ObjectMeta 2spec:PodSpec
DeploymentStrategy 1type:s 2rollingUpdate:RollingUpdateDeployment
RollingUpdateDeployment 1maxUnavailable:IntOrString 2maxSurge:IntOrString
DeploymentStatus 1observedGeneration:i 2replicas:i 3updatedReplicas:i 7readyReplicas:i 4availableReplicas:i
  5unavailableReplicas:i 9terminatingReplicas:I 6conditions:[DeploymentCondition 8collisionCount:I
DeploymentCondition 1type:s 2status:s 6lastUpdateTime:Time 7lastTransitionTime:Time 4reason:s 5message:s
ReplicaSet 1metadata:ObjectMeta 2spec:ReplicaSetSpec 3status:ReplicaSetStatus
ReplicaSetSpec 1replicas:I 4minReadySeconds:i 2selector:LabelSelector 3template:PodTemplateSpec
ReplicaSetStatus 1replicas:i 2fullyLabeledReplicas:i 4readyReplicas:i 5availableReplicas:i 7terminatingReplicas:I
  3observedGeneration:i 6conditions:[ReplicaSetCondition
ReplicaSetCondition 1type:s 2status:s 3lastTransitionTime:Time 4reason:s 5message:s
StatefulSet 1metadata:ObjectMeta 2spec:StatefulSetSpec 3status:StatefulSetStatus
StatefulSetSpec 1replicas:I 2selector:LabelSelector 3template:PodTemplateSpec 5serviceName:s 6podManagementPolicy:s
  7updateStrategy:StatefulSetUpdateStrategy 8revisionHistoryLimit:I 9minReadySeconds:i
  10persistentVolumeClaimRetentionPolicy:StatefulSetPersistentVolumeClaimRetentionPolicy
  11ordinals:StatefulSetOrdinals
StatefulSetUpdateStrategy 1type:s 2rollingUpdate:RollingUpdateStatefulSetStrategy
RollingUpdateStatefulSetStrategy 1partition:I 2maxUnavailable:IntOrString
StatefulSetPersistentVolumeClaimRetentionPolicy 1whenDeleted:s 2whenScaled:s
StatefulSetOrdinals 1start:i
StatefulSetStatus 1observedGeneration:i 2replicas:i 3readyReplicas:i 4currentReplicas:i 5updatedReplicas:i
  6currentRevision:s 7updateRevision:s 9collisionCount:I 10conditions:[StatefulSetCondition 11availableReplicas:i
StatefulSetCondition 1type:s 2status:s 3lastTransitionTime:Time 4reason:s 5message:s
ControllerRevision 1metadata:ObjectMeta 2data:RawExtension 3revision:i
Ingress 1metadata:ObjectMeta 2spec:IngressSpec 3status:IngressStatus
IngressSpec 4ingressClassName:S 1defaultBackend:IngressBackend 2tls:[IngressTLS 3rules:[IngressRule
IngressBackend 4service:IngressServiceBackend 3resource:TypedLocalObjectReference
IngressServiceBackend 1name:s 2port:ServiceBackendPort
ServiceBackendPort 1name:s 2number:i
TypedLocalObjectReference 1apiGroup:S 2kind:s 3name:s
IngressTLS 1hosts:[s 2secretName:s
IngressRule 1host:s 2^IngressRuleValue
IngressRuleValue 1http:HTTPIngressRuleValue
HTTPIngressRuleValue 1paths:[HTTPIngressPath
HTTPIngressPath 1path:s 3pathType:S 2backend:IngressBackend
IngressStatus 1loadBalancer:IngressLoadBalancerStatus
IngressLoadBalancerStatus 1ingress:[IngressLoadBalancerIngress
IngressLoadBalancerIngress 1ip:s 2hostname:s 4ports:[IngressPortStatus
IngressPortStatus 1port:i 2protocol:s 3error:S
IngressClass 1metadata:ObjectMeta 2spec:IngressClassSpec
IngressClassSpec 1controller:s 2parameters:IngressClassParametersReference
IngressClassParametersReference 1apiGroup:S 2kind:s 3name:s 4scope:S 5namespace:S
EndpointSlice 1metadata:ObjectMeta 4addressType:s 2endpoints:[Endpoint 3ports:[discovery.EndpointPort
Endpoint 1addresses:[s 2conditions:EndpointConditions 3hostname:S 4targetRef:ObjectReference 5deprecatedTopology:<s
  6nodeName:S 7zone:S 8hints:EndpointHints
EndpointConditions 1ready:B 2serving:B 3terminating:B
EndpointHints 1forZones:[ForZone 2forNodes:[ForNode
ForZone 1name:s
ForNode 1name:s
discovery.EndpointPort 1name:S 2protocol:S 3port:I 4appProtocol:S
Lease 1metadata:ObjectMeta 2spec:LeaseSpec
LeaseSpec 1holderIdentity:S 2leaseDurationSeconds:I 3acquireTime:MicroTime 4renewTime:MicroTime 5leaseTransitions:I
  6strategy:S 7preferredHolder:S
Scale 1metadata:ObjectMeta 2spec:ScaleSpec 3status:ScaleStatus
ScaleSpec 1replicas:i
ScaleStatus 1replicas:i 2selector:s
DeleteOptions 1gracePeriodSeconds:I 2preconditions:Preconditions 3orphanDependents:B 4propagationPolicy:S 5dryRun:[s
  6ignoreStoreReadErrorWithClusterBreakingPotential:B
Preconditions 1uid:S 2resourceVersion:S
events.Event 1metadata:ObjectMeta 2eventTime:MicroTime 3series:events.EventSeries 4reportingController:s
  5reportingInstance:s 6action:s 7reason:s 8regarding:ObjectReference 9related:ObjectReference 10note:s 11type:s
  12deprecatedSource:EventSource 13deprecatedFirstTimestamp:Time 14deprecatedLastTimestamp:Time 15deprecatedCount:i
events.EventSeries 1count:i 2lastObservedTime:MicroTime
TokenRequest 1metadata:ObjectMeta 2spec:TokenRequestSpec 3status:TokenRequestStatus
TokenRequestSpec 1audiences:[s 4expirationSeconds:I 3boundObjectRef:BoundObjectReference
BoundObjectReference 1kind:s 2apiVersion:s 3name:s 4uid:s
TokenRequestStatus 1token:s 2expirationTimestamp:Time
Binding 1metadata:ObjectMeta 2target:ObjectReference
SelfSubjectReview 1metadata:ObjectMeta 2status:SelfSubjectReviewStatus
SelfSubjectReviewStatus 1userInfo:UserInfo
UserInfo 1username:s 2uid:s 3groups:[s
TokenReview 1metadata:ObjectMeta 2spec:TokenReviewSpec 3status:TokenReviewStatus
TokenReviewSpec 1token:s 2audiences:[s
TokenReviewStatus 1authenticated:b 2user:UserInfo 3error:s 4audiences:[s
SelfSubjectAccessReview 1metadata:ObjectMeta 2spec:SelfSubjectAccessReviewSpec 3status:SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec 1resourceAttributes:ResourceAttributes 2nonResourceAttributes:NonResourceAttributes
ResourceAttributes 1namespace:s 2verb:s 3group:s 4version:s 5resource:s 6subresource:s 7name:s
NonResourceAttributes 1path:s 2verb:s
SubjectAccessReviewStatus 1allowed:b 2reason:s 3evaluationError:s 4denied:b
SubjectAccessReview 1metadata:ObjectMeta 2spec:SubjectAccessReviewSpec 3status:SubjectAccessReviewStatus
SubjectAccessReviewSpec 1resourceAttributes:ResourceAttributes 2nonResourceAttributes:NonResourceAttributes 3user:s
  4groups:[s 6uid:s
LocalSubjectAccessReview 1metadata:ObjectMeta 2spec:SubjectAccessReviewSpec 3status:SubjectAccessReviewStatus
SelfSubjectRulesReview 1metadata:ObjectMeta 2spec:SelfSubjectRulesReviewSpec 3status:SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec 1namespace:s
SubjectRulesReviewStatus 3incomplete:b 4evaluationError:s
)";
}

}  // namespace weft::apiserver

// A day with kubectl: verbs × kinds, good and bad input, as one table of command, exit status and a word of the answer.
//
// The rows are one story and run in order, in a folder with the files below. Three versions of kubectl tell each story;
// where they differ the row says from or up to which version it holds, and docs/conformance/kubectl.md says why.
// WEFT_TEST_KUBECTL names one other kubectl to be used instead. Spec: kubernetes.md section 10.
#include <cstdlib>

#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

constexpr const char* web = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "echo:demo", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
)";

constexpr const char* settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n";
constexpr const char* red = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: red}\n";
constexpr const char* unknown_field = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo}\ndatum: {colour: red}\n";
constexpr const char* unknown_kind = "apiVersion: v1\nkind: Confmap\nmetadata: {name: typo}\n";
constexpr const char* secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {token: hush}\n";
constexpr const char* bad_service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n";
constexpr const char* set = R"(apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 0
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: "echo:demo"}]}
)";
constexpr const char* crd = R"(apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: cats.zoo.example}
spec:
  group: zoo.example
  scope: Namespaced
  names: {plural: cats, singular: cat, kind: Cat}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {lives: {type: integer, maximum: 9}}}}
)";
constexpr const char* cat = "apiVersion: zoo.example/v1\nkind: Cat\nmetadata: {name: tom}\nspec: {lives: 9}\n";
constexpr const char* ghost = "apiVersion: zoo.example/v1\nkind: Cat\nmetadata: {name: ghost}\nspec: {lives: 10}\n";

constexpr const char* kustomization = "resources: [settings.yaml]\nnamePrefix: k-\n";

constexpr int any_version = 99;

struct Row {
    std::string command;
    int status;
    std::string text;                    // a part of what it prints
    int since = 0, until = any_version;  // minor versions of kubectl, both inclusive
};

struct Client {
    std::string path;
    int minor = 0;
};

// The judges: the newest, one of the years before and the first with WebSocket exec.
const std::vector<Client>& clients() {
    static const std::vector<Client> all = [] {
        std::vector<std::string> paths;
        if (const char* named = getenv("WEFT_TEST_KUBECTL")) paths.push_back(named);
        for (const char* version : {"35", "33", "30"}) {
            if (getenv("WEFT_TEST_KUBECTL") != nullptr) break;
            const Output found =
                run(fmt::format("{}/test/support/client kubectl {} {}/..", root(), version, WEFT_BIN), 300);
            EXPECT_TRUE(found.ok()) << found.text;
            if (found.ok()) paths.push_back(std::string(trim(found.text)));
        }
        std::vector<Client> named;
        for (const std::string& path : paths) {
            const std::string text = run(path + " version --client").text;
            const size_t at = text.find("Client Version: v1.");
            EXPECT_NE(at, std::string::npos) << text;
            if (at != std::string::npos) named.push_back({path, atoi(text.c_str() + at + 19)});
        }
        return named;
    }();
    return all;
}

// An empty folder with the story's files, a bin/kubectl that knows the world, and its own caches; gone at the end.
class Desk {
public:
    explicit Desk(const Client& client) : folder_("/tmp/weft-kubectl-" + world->instance().name()), client_(client) {
        MUST(make_directories(folder_ + "/bin"));
        put("bin/kubectl", fmt::format("#!/bin/sh\nexec {} --kubeconfig {} --cache-dir {}/cache \"$@\"\n", client.path,
                                       world->instance().kubeconfig(), folder_));
        MUST(write_file(folder_ + "/bin/kubectl", MUST(read_file(folder_ + "/bin/kubectl")), 0755));
        const std::pair<const char*, std::string> files[] = {{"web.yaml", web},
                                                             {"settings.yaml", settings},
                                                             {"red.yaml", red},
                                                             {"secret.yaml", secret},
                                                             {"unknown-field.yaml", unknown_field},
                                                             {"unknown-kind.yaml", unknown_kind},
                                                             {"set.yaml", set},
                                                             {"bad-service.yaml", bad_service},
                                                             {"crd.yaml", crd},
                                                             {"cat.yaml", cat},
                                                             {"ghost.yaml", ghost},
                                                             {"kust/kustomization.yaml", kustomization},
                                                             {"kust/settings.yaml", settings},
                                                             {"not.yaml", "a: [\n"}};
        MUST(make_directories(folder_ + "/kust"));
        for (const auto& [name, text] : files) put(name, text);
    }

    ~Desk() { (void)remove_tree(folder_); }

    Desk(const Desk&) = delete;
    Desk& operator=(const Desk&) = delete;

    void tell(const std::vector<Row>& rows) const {
        for (const Row& row : rows) {
            if (client_.minor < row.since || client_.minor > row.until) continue;
            const Output output = run(
                fmt::format("cd {0} && export HOME={0} TMPDIR={0} PATH={0}/bin:$PATH && {1}", folder_, row.command));
            EXPECT_EQ(output.status, row.status) << row.command << "\n" << output.text;
            EXPECT_NE(output.text.find(row.text), std::string::npos) << row.command << "\nlacks: " << row.text << "\n"
                                                                     << output.text;
        }
    }

private:
    void put(const std::string& name, const std::string& text) const { MUST(write_file(folder_ + "/" + name, text)); }

    const std::string folder_;
    const Client client_;
};

// The longest stories are told by the newest version alone, unless there is time (WEFT_TEST_LONG=1).
enum class Tellers : uint8_t { all, newest };

void tell(const std::vector<Row>& rows, Tellers tellers = Tellers::all) {
    EXPECT_FALSE(clients().empty());
    for (const Client& client : clients()) {
        SCOPED_TRACE(fmt::format("kubectl 1.{}", client.minor));
        Desk(client).tell(rows);
        if (tellers == Tellers::newest && getenv("WEFT_TEST_LONG") == nullptr) return;
    }
}

TEST(Kubectl, asks_what_there_is) {
    tell({
        {"kubectl version", 0, "Server Version: v1."},
        {"kubectl cluster-info", 0, "https://127.0.0.1:"},
        {"kubectl api-versions", 0, "apps/v1"},
        {"kubectl api-resources", 0, "statefulsets"},
        {"kubectl api-resources --api-group=weft.dev -o name", 0, "vswitches.weft.dev"},
        {"kubectl explain deploy.spec.strategy.rollingUpdate", 0, "maxSurge"},
        {"kubectl explain sts.spec.podManagementPolicy", 0, "OrderedReady"},
        {"kubectl explain deploy.spec.replica", 1, "field \"replica\" does not exist"},
        {"kubectl get nodes", 0, "Ready"},
        {"kubectl get ns -o name", 0, "namespace/kube-system"},
        {"kubectl get unicorns", 1, "the server doesn't have a resource type \"unicorns\""},
        {"kubectl get pod nobody", 1, "Error from server (NotFound): pods \"nobody\" not found"},
        {"kubectl get --raw /readyz", 0, "ok"},
        {"kubectl get --raw /apis/nowhere", 1, "NotFound"},
        {"kubectl get --raw /openapi/v2", 1, "OpenAPI v2 is not served here, use /openapi/v3"},
        {"kubectl get --raw '/livez?verbose'", 0, "livez check passed"},
        {"{ kubectl proxy --unix-socket=$PWD/proxy >/dev/null & proxy=$!; }; for i in $(seq 600); do"
         " curl -s --unix-socket proxy http://localhost/api/v1/namespaces/default && break; sleep 0.05; done;"
         " kill $proxy",
         0, "kubernetes.io/metadata.name"},
        {"kubectl explain pods --recursive", 0, "nodeName"},
        {"kubectl explain vpc.spec", 0, "cidr"},
        {"kubectl get pods -A --chunk-size=1 -o custom-columns=N:.metadata.name", 0, "N"},
        {"kubectl get ns --sort-by=.metadata.name -o wide", 0, "kube-system"},
        {"kubectl describe node node-1", 0, "Ready"},
        {"kubectl cordon node-1 && kubectl uncordon node-1", 0, "uncordoned"},
        {"kubectl taint node node-1 a=b:NoSchedule && kubectl taint node node-1 a-", 0, "untainted"},
        {"kubectl wait --for=create cm/kube-root-ca.crt --timeout=30s", 0, "condition met", 31},
        {"kubectl auth whoami", 0, "weft:root"},
        {"kubectl auth can-i get pods", 0, "yes"},
        {"kubectl auth can-i '*' '*'", 0, "yes"},
        {"kubectl auth can-i get secrets --as=system:serviceaccount:default:default", 1, "no"},
        {"kubectl auth can-i --list --as=system:serviceaccount:default:default", 0, "[get list watch]"},
        {"kubectl get secrets --as=system:serviceaccount:default:default", 1, "cannot list resource \"secrets\""},
        {"kubectl auth can-i get unicorns", 0, "the server doesn't have a resource type 'unicorns'"},
        {"kubectl get $(kubectl api-resources --verbs=list -o name | paste -sd,) -A", 0, "namespace/kube-system"},
        {"kubectl describe $(kubectl api-resources --verbs=list -o name | paste -sd,) -A", 0, "kube-root-ca.crt"},
        {"kubectl get ns -o go-template='{{len .items}}'", 0, ""},
        {"kubectl get hpa", 1, "the server doesn't have a resource type \"hpa\""},
        {"kubectl top node", 1, "Metrics API not available"},
        {"kubectl logs nobody", 1, "pods \"nobody\" not found"},
        {"kubectl exec nobody -- true", 1, "pods \"nobody\" not found"},
        {"kubectl get cm -l 'a in (b'", 1, "unable to parse requirement"},
        {"kubectl get pods --field-selector=colour=red", 1, "field label not supported: colour"},
    });
}

TEST(Kubectl, creates_changes_and_deletes_plain_objects) {
    tell({
        {"kubectl create -f settings.yaml", 0, "configmap/settings created"},
        {"kubectl create -f settings.yaml", 1, "Error from server (AlreadyExists)"},
        {"kubectl apply -f settings.yaml", 0, "configmap/settings configured"},
        {"kubectl apply -f settings.yaml", 0, "configmap/settings unchanged"},
        {"kubectl diff -f settings.yaml", 0, ""},
        {"kubectl diff -f red.yaml", 1, "+  colour: red"},
        {"kubectl apply -f red.yaml --dry-run=server", 0, "configured (server dry run)"},
        {"kubectl get cm settings -o jsonpath={.data.colour}", 0, "blue"},
        {"kubectl replace -f red.yaml", 0, "configmap/settings replaced"},
        {"kubectl get cm settings -o jsonpath={.data.colour}", 0, "red"},
        {"kubectl replace -f secret.yaml", 1, "secrets \"key\" not found"},
        {"kubectl apply -f secret.yaml", 0, "secret/key created"},
        {"kubectl get secret key -o jsonpath={.data.token}", 0, "aHVzaA=="},
        {"kubectl label cm settings team=net", 0, "labeled"},
        {"kubectl label cm settings team=other", 1, "--overwrite is false"},
        {"kubectl label cm settings team=other --overwrite", 0, "labeled"},
        {"kubectl label cm settings 'team=a b'", 1, "team"},
        {"kubectl get cm -l team=other -o name", 0, "configmap/settings"},
        {"kubectl label cm settings team-", 0, "unlabeled"},
        {"kubectl annotate cm settings note='hello world'", 0, "annotated"},
        {"kubectl annotate cm settings note-", 0, "annotated"},
        {"kubectl patch cm settings -p '{\"data\":{\"size\":\"1\"}}'", 0, "patched"},
        {"kubectl patch cm settings --type=merge -p '{\"data\":{\"size\":null}}'", 0, "patched"},
        {"kubectl patch cm settings --type=json -p '[{\"op\":\"add\",\"path\":\"/data/size\",\"value\":\"2\"}]'", 0,
         "patched"},
        {"kubectl patch cm settings --type=json -p '[{\"op\":\"test\",\"path\":\"/data/size\",\"value\":\"3\"}]'", 1,
         "test"},
        {"kubectl patch cm settings --type=json -p '[{\"op\":\"jump\",\"path\":\"/data\"}]'", 1, "BadRequest"},
        {"KUBE_EDITOR='sed -i s/colour:.red/colour:\\ green/' kubectl edit cm settings", 0,
         "configmap/settings edited"},
        {"KUBE_EDITOR=true kubectl edit cm settings", 0, "no changes made"},
        {"kubectl get cm settings -o yaml", 0, "colour: green"},
        {"kubectl get cm settings -o yaml --show-managed-fields", 0, "manager: kubectl-edit"},
        {"kubectl apply -f unknown-field.yaml", 1, "unknown field \"datum\""},
        {"kubectl apply -f unknown-kind.yaml", 1, "no matches for kind \"Confmap\""},
        {"kubectl apply -f not.yaml", 1, "yaml"},
        {"kubectl apply -f nothing.yaml", 1, "does not exist"},
        {"kubectl -n nowhere apply -f settings.yaml", 1, "namespaces \"nowhere\" not found"},
        {"kubectl delete ns default", 1, "this namespace may not be deleted"},
        {"kubectl delete cm settings", 0, "deleted"},
        {"kubectl wait --for=delete cm/settings --timeout=5s", 0, ""},
        {"kubectl delete cm settings", 1, "NotFound"},
        {"kubectl delete cm settings --ignore-not-found", 0, ""},
        {"kubectl delete secret key", 0, "deleted"},
    });
}

// Generators of objects; from 1.32 on they send protobuf.
TEST(Kubectl, makes_objects_without_a_file) {
    tell({
        {"kubectl apply -f " + root() + "/examples/world.yaml", 0, "vpc.weft.dev/vpc-demo"},
        {"kubectl wait --for=condition=Ready vpc/vpc-demo --timeout=30s", 0, "condition met"},
        {"kubectl create configmap a --from-literal=x=1", 0, "configmap/a created"},
        {"kubectl create configmap a --from-literal=x=1", 1, "configmaps \"a\" already exists"},
        {"kubectl create configmap b --from-literal=x=1 --dry-run=server -o name", 0, "configmap/b"},
        {"kubectl create secret generic s --from-literal=x=1", 0, "secret/s created"},
        {"kubectl get secret s -o jsonpath={.data.x}", 0, "MQ=="},
        {"kubectl create ns made", 0, "namespace/made created"},
        {"kubectl create ns Made", 1, "metadata.name: Invalid value: \"Made\""},
        {"kubectl create sa robot", 0, "serviceaccount/robot created"},
        {"kubectl -n made create svc clusterip one --tcp=80:80", 0, "service/one created"},
        {"kubectl -n made create svc nodeport two --tcp=80:8080", 0, "service/two created"},
        {"kubectl -n made create svc externalname three --external-name=a.test", 0, "service/three created"},
        {"kubectl -n made create ingress one --rule=a.test/=one:80", 0, "ingress.networking.k8s.io/one created"},
        {"kubectl -n made expose service one --port=81 --name=four", 0, "service/four exposed"},
        {"kubectl -n made create deployment none --image=echo:demo --replicas=0", 0, "deployment.apps/none created"},
        {"kubectl -n made get deployment none -o jsonpath=/{.spec.replicas}/", 0, "/0/"},
        {"kubectl -n made create svc loadbalancer five --tcp=80:80", 0, "service/five created"},
        {"kubectl create token default", 0, "ey"},
        {"kubectl create token default --duration=10s", 1, "may not specify a duration less than 10 minutes"},
        {"kubectl create secret docker-registry d --docker-username=u --docker-password=p --docker-server=s", 0,
         "secret/d created"},
        {"kubectl delete secret d", 0, "deleted"},
        {"kubectl create job j --image=echo:demo", 1, "could not find the requested resource"},
        {"kubectl create role r --verb=get --resource=pods", 1, "could not find the requested resource"},
        {"kubectl -n made autoscale deployment none --max=3", 1, "rror"},
        {"kubectl apply -k kust", 0, "configmap/k-settings created"},
        {"kubectl delete -k kust", 0, "configmap \"k-settings\" deleted"},
        {"kubectl delete cm/a secret/s sa/robot", 0, "deleted"},
        {"kubectl delete ns made --timeout=60s", 0, "deleted"},
        {"kubectl get ns made", 1, "namespaces \"made\" not found"},
    });
}

TEST(Kubectl, applies_on_the_servers_side) {
    tell({
        {"kubectl apply --server-side -f settings.yaml", 0, "configmap/settings serverside-applied"},
        {"kubectl apply --server-side --field-manager=other -f red.yaml", 1,
         "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .data.colour"},
        {"kubectl apply --server-side --field-manager=other --force-conflicts -f red.yaml", 0, "serverside-applied"},
        {"kubectl apply --server-side -f settings.yaml", 1, "conflict with \"other\""},
        {"kubectl diff --server-side --force-conflicts -f settings.yaml", 1, "+  colour: blue"},
        {"kubectl apply --server-side -f unknown-field.yaml", 1, "datum"},
        {"kubectl delete cm settings", 0, "deleted"},
        {"kubectl apply -f settings.yaml", 0, "created"},
        {"kubectl apply --server-side -f red.yaml", 1,
         "conflict with \"kubectl-client-side-apply\" using v1: .data.colour"},
        {"kubectl apply --server-side -f settings.yaml", 0, "serverside-applied"},
        {"kubectl apply --server-side -f red.yaml", 0,
         "serverside-applied"},  // what was applied by the client is now its own
        {"kubectl get cm settings -o yaml --show-managed-fields", 0, "manager: kubectl-last-applied"},
        {"kubectl get cm settings -o yaml --show-managed-fields | grep -c client-side", 1, "0"},
        {"kubectl delete cm settings", 0, "deleted"},
    });
}

TEST(Kubectl, defines_kinds_of_its_own) {
    tell(
        {
            {"kubectl apply -f crd.yaml", 0, "customresourcedefinition.apiextensions.k8s.io/cats.zoo.example created"},
            {"kubectl wait --for=condition=Established crd/cats.zoo.example --timeout=5s", 0, "condition met"},
            {"kubectl apply -f cat.yaml", 0, "cat.zoo.example/tom created"},
            {"kubectl apply -f ghost.yaml", 1, "spec.lives: Invalid value: 10"},
            {"kubectl get cats", 0, "tom"},
            {"kubectl patch cat tom --type=merge -p '{\"spec\":{\"lives\":8}}'", 0, "patched"},
            {"kubectl patch cat tom -p '{}' --type=strategic", 1, "strategic"},
            {"kubectl delete crd cats.zoo.example", 0, "deleted"},
            {"kubectl get cats", 1, "cats"},
        },
        Tellers::newest);
}

TEST(Kubectl, rolls_workloads_out_and_back) {
    tell(
        {
            {"kubectl apply -f " + root() + "/examples/world.yaml", 0, "vpc.weft.dev/vpc-demo"},
            {"kubectl apply -f bad-service.yaml", 1, "spec.ports[0].port: Invalid value: 70000"},
            {"kubectl apply -f web.yaml", 0, "deployment.apps/web created"},
            {"kubectl rollout status deploy/web --timeout=30s", 0, "successfully rolled out"},
            {"kubectl wait --for=condition=Available deploy/web --timeout=10s", 0, "condition met"},
            {"kubectl get deploy,rs,po,svc -o wide", 0, "2/2"},
            {"for k in $(kubectl api-resources --verbs=list -o name); do kubectl explain $k >/dev/null || exit 3; done", 0,
             ""},
            {"kubectl logs -l app=web --all-containers --prefix --tail=1", 0, ""},
            {"kubectl logs deploy/web --since=1h --timestamps", 0, ""},
            {"kubectl logs deploy/web -p", 1, "previous terminated container \"main\""},
            {"kubectl logs deploy/web -c none", 1, "container none is not valid for pod"},
            {"kubectl set resources deploy/web --limits=memory=64Mi", 0, "resource requirements updated"},
            {"kubectl set serviceaccount deploy/web default", 0, "serviceaccount updated"},
            {"kubectl rollout status deploy/web --timeout=60s", 0, "successfully rolled out"},
            {"kubectl expose deploy web --name=more --port=80", 0, "service/more exposed"},
            {"kubectl rollout history deploy/web --revision=1", 0, "revision #1"},
            {"kubectl patch deploy web --subresource=scale --type=merge -p '{\"spec\":{\"replicas\":2}}'", 0, "patched"},
            {"kubectl get deploy web --subresource=scale -o jsonpath={.spec.replicas}", 0, "2"},
            {"kubectl delete svc more", 0, "deleted"},
            {"kubectl drain node-1 --dry-run=client", 0, "drained (dry run)"},
            {"kubectl uncordon node-1", 0, ""},
            {"kubectl get all", 0, "replicaset.apps/web-"},
            {"kubectl describe deploy web", 0, "app=web"},
            {"kubectl describe pod -l app=web", 0, "echo:demo"},
            {"kubectl scale deploy web --replicas=1", 0, "scaled"},
            {"kubectl scale deploy web --replicas=3 --current-replicas=7", 1, "Expected replicas to be 7, was 1"},
            {"kubectl scale deploy web --replicas=-1", 1, "replicas"},
            {"kubectl set env deploy/web COLOUR=red", 0, "env updated"},
            {"kubectl rollout status deploy/web --timeout=30s", 0, "successfully rolled out"},
            {"kubectl rollout history deploy/web", 0, "2"},
            {"kubectl rollout undo deploy/web", 0, "rolled back"},
            {"kubectl get deploy web -o jsonpath=env:{.spec.template.spec.containers[0].env}.", 0, "env:."},
            {"kubectl rollout undo deploy/web --to-revision=99", 1, "unable to find specified revision 99"},
            {"kubectl rollout restart deploy/web", 0, "restarted"},
            {"kubectl rollout status deploy/web --timeout=30s", 0, "successfully rolled out"},
            {"kubectl rollout pause deploy/web", 0, "paused"},
            {"kubectl rollout resume deploy/web", 0, "resumed"},
            {"kubectl set image deploy/web main=no/such:image", 0, "image updated"},
            {"kubectl rollout status deploy/web --timeout=1s", 1, "timed out waiting for the condition"},
            {"kubectl rollout undo deploy/web", 0, "rolled back"},
            {"kubectl events", 0, "REASON"},
            {"kubectl get events --sort-by=.lastTimestamp", 0, "Scheduled"},
            {"kubectl delete deploy web --cascade=orphan", 0, "deleted"},
            {"kubectl get rs -o name", 0, "replicaset.apps/web-"},
            {"kubectl delete rs --all --cascade=foreground", 0, "deleted"},
            {"kubectl wait --for=delete pod -l app=web --timeout=20s", 0, ""},
            {"kubectl delete svc web", 0, "deleted"},
            {"kubectl apply -f set.yaml", 0, "statefulset.apps/db created"},
            {"kubectl get sts db", 0, "0/0"},
            {"kubectl patch sts db -p '{\"spec\":{\"serviceName\":\"x\"}}'", 1, "updates to statefulset spec"},
            {"kubectl delete sts db --cascade=background", 0, "deleted"},
            {"kubectl run lone --image=echo:demo --restart=Never", 0, "pod/lone created"},
            {"kubectl wait --for=condition=Ready pod/lone --timeout=20s", 0, "condition met"},
            {"kubectl exec lone -- echo hello", 0, "hello"},
            {"kubectl exec lone -- sh -c 'exit 7'", 7, ""},
            {"kubectl logs lone", 0, ""},
            {"kubectl cp web.yaml lone:/tmp/weft-kubectl-cp && kubectl exec lone -- rm /tmp/weft-kubectl-cp", 0, ""},
            {"kubectl attach lone", 1, "attach is not offered here: use kubectl exec"},
            {"kubectl port-forward lone 18080:80", 1, "port-forward is not offered here"},
            {"kubectl debug lone --image=client", 1, "ephemeral containers are disabled for this cluster"},
            {"kubectl get --raw /api/v1/namespaces/default/pods/lone/proxy/", 1, "the proxy subresource is not offered here"},
            // It shows what stands in the log at that moment, which for so short a life may be nothing yet.
            {"kubectl run once --image=client --rm -i --restart=Never --command -- echo done-and-gone", 0,
             "pod \"once\" deleted"},
            {"kubectl run none --image=no/such:image --restart=Never", 0, "created"},
            {"kubectl exec none -- true", 1, "is not running"},
            {"kubectl delete pod none --force", 0, "deleted"},
            {"kubectl delete pod lone --grace-period=1", 0, "deleted"},
            {"kubectl apply -f web.yaml && kubectl replace --force -f web.yaml --grace-period=1", 0, "service/web replaced"},
            {"kubectl delete -f web.yaml --now", 0, "deleted"},
            {"kubectl wait --for=delete pod -l app=web --timeout=60s", 0, ""},
        },
        Tellers::newest);
}

}  // namespace weft::test

int main(int argc, char** argv) {
    return weft::test::run_scenario(argc, argv, "", false);
}

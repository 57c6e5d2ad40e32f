// Rest: the verbs. A Call whose path named a Target becomes a Reply; one file per family of verbs:
//   read.cpp get, list · watch.cpp watch · create.cpp create · update.cpp update, patch · remove.cpp delete,
//   deletecollection subresource.cpp scale, binding, finalize · connect.cpp log, exec · apply.cpp server-side apply
// Order inside a write: decode, default, prepare, validate, then in the store's transaction admit and store (API-65).
// Threads: any; a Rest is made per request. Source: spec/kubernetes.md §1.1, §1.4..1.8.
#pragma once
#include "apiserver/call.h"
#include "apiserver/crd.h"
#include "apiserver/defaults.h"
#include "apiserver/negotiate.h"
#include "apiserver/objects.h"
#include "apiserver/patch.h"
#include "apiserver/selector.h"
#include "apiserver/target.h"
#include "base/clock.h"
#include "base/instance.h"

namespace weft::apiserver {

inline constexpr int patch_tries_max = 64;                                 // lost races before a patch gives up
inline constexpr int generate_name_tries_max = 8;                          // API-32
inline constexpr auto write_deadline_max = std::chrono::seconds(34);       // API-75; the query's timeout may shorten it
inline constexpr auto read_deadline_max = std::chrono::seconds(60);
inline constexpr auto future_revision_wait_max = std::chrono::seconds(3);  // API-47

class Rest {
public:
    Rest(Objects& objects, Kinds& kinds, const Clock& clock, const Instance& instance, const Call& call,
         const Target& target)
        : objects_(objects),
          kinds_(kinds),
          clock_(clock),
          instance_(instance),
          call_(call),
          target_(target),
          kind_(*target.kind) {}

    Outcome<Reply> answer();

private:
    Outcome<Reply> answer_verb();
    void add_warning_headers(Reply& reply) const;  // API-92
    Outcome<Reply> get();
    Outcome<Reply> list();
    Outcome<Reply> watch();
    Outcome<Reply> create();
    Outcome<Reply> update();
    Outcome<Reply> patch();
    Outcome<Reply> apply();
    Outcome<Reply> remove();
    Outcome<Reply> remove_collection();
    Outcome<Reply> get_scale();
    Outcome<Reply> write_scale();
    Outcome<Reply> bind_pod();
    Outcome<Reply> create_token();
    Outcome<Reply> finalize_namespace();
    Outcome<Reply> connect();  // connect.cpp

    // --- reading
    Outcome<Reply> object_reply(int status, json::Value object, bool may_be_table = false);

    // --- writing
    enum class FieldValidation : uint8_t { ignore, warn, strict };
    Done read_write_options();
    Done read_deadline();
    // Body → object of this kind: decoded, strict errors refused or remembered as warnings, namespace and name checked.
    Outcome<json::Value> read_object();
    Done take_strict_errors(const std::vector<std::string>& strict, bool of_patch);
    Done check_identity(json::Value& object);      // API-34, API-35
    static Done check_size(const json::Value& object);  // API-135
    void add_warnings(const json::Value& object);  // what is stored but not done (API-92)
    // `managed_fields`: what apply made of them; else they are tracked here.
    Outcome<json::Value> create_object(json::Value object, const json::Value* managed_fields = nullptr);
    // One try: Conflict when the stored object moved meanwhile.
    Outcome<json::Value> update_object(json::Value wish, const json::Value& stored, Part part,
                                       const json::Value* managed_fields = nullptr);
    Outcome<json::Value> read_applied();
    void track_fields(json::Value& wish, const json::Value* stored, const json::Value* given, Part part);
    static void set_managed_fields(json::Value& wish, json::Value managed_fields);
    // Stores without preparation and validation; a deleting object that nothing holds any more is removed.
    Outcome<json::Value> store_update(json::Value wish, const json::Value& stored);
    Part part() const { return target_.subresource == "status" ? Part::status : Part::main; }

    // --- deleting
    struct DeleteOptions {
        std::string uid, resource_version, propagation;
        std::optional<int64_t> grace_s;
    };
    Outcome<DeleteOptions> read_delete_options();
    struct Deleted {
        json::Value object;
        bool gone = false;
    };
    Outcome<Deleted> delete_object(const kube::ObjectKey& key, const DeleteOptions& options);
    Outcome<Deleted> delete_once(const json::Value& stored, const DeleteOptions& options);

    Objects& objects_;
    Kinds& kinds_;
    const Clock& clock_;
    const Instance& instance_;
    const Call& call_;
    const Target& target_;
    const Kind& kind_;

    WriteOptions options_;
    FieldValidation field_validation_ = FieldValidation::warn;
    std::vector<std::string> warnings_;
};

bool is_apply_patch(std::string_view content_type);

// Whether deletion has to wait: metadata.finalizers, or a namespace's spec.finalizers.
bool has_finalizers(const json::Value& object);

// kind, apiVersion and metadata.resourceVersion of a list; the caller adds items.
json::Value list_head(const Kind& kind, store::Revision revision);

// resourceVersion of a query: nullopt when absent. 400 when it is no number.
Outcome<std::optional<store::Revision>> read_revision(const http::Query& query);
// 504 when it does not come within future_revision_wait_max.
Done wait_for_revision(store::Log& log, store::Revision revision, const Clock& clock);

}  // namespace weft::apiserver

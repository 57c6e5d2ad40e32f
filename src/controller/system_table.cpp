#include "controller/system_table.h"

#include <fmt/format.h>

#include "cloud/annotations.h"

namespace weft::controller {

Status ensure_system_table(World& world, const kube::Object& vpc) {
    const std::string name = cloud::system_table_name(vpc.name());
    if (const kube::ObjectPtr table = world.route_tables.get(name)) {
        const std::string_view theirs = table->string({"spec", "vpc"});
        if (theirs != vpc.name())
            world.events.warning(
                vpc, "SystemTableNameTaken",
                fmt::format("RouteTable {} is one of VPC {}: this VPC has its system routes only", name, theirs));
        return {};
    }
    kube::Object table = kube::Object::of(kube::route_tables, {"", name});
    table.set_annotation(cloud::system_table_annotation, "true");
    table.add_finalizer(cloud::cloud_finalizer);
    table.set({"spec", "vpc"}, vpc.name());
    const auto created = world.route_tables.create(table);
    if (!created && created.error().code != Code::already_exists) return fail(created.error());
    return {};
}

Status remove_system_table(World& world, const kube::Object& vpc) {
    const kube::ObjectPtr table = world.route_tables.get(cloud::system_table_name(vpc.name()));
    if (!table || table->string({"spec", "vpc"}) != vpc.name()) return {};
    kube::Object next = *table;
    next.remove_finalizer(cloud::cloud_finalizer);
    TRY(world.route_tables.put(*table, next));  // ends it, if a user has deleted it before
    const kube::ObjectPtr now = world.route_tables.get(table->name());
    if (!now || now->deleting()) return {};
    return world.route_tables.remove(*now);
}

}  // namespace weft::controller

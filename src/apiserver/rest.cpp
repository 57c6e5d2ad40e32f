#include "apiserver/rest.h"

namespace weft::apiserver {

Outcome<Reply> Rest::answer() {
    switch (target_.verb) {
        case Verb::get: return get();
        case Verb::list: return list();
        case Verb::watch: return watch();
        case Verb::create: return create();
        case Verb::update: return update();
        case Verb::patch: return patch();
        case Verb::remove: return remove();
        case Verb::remove_collection: return remove_collection();
        case Verb::connect: return connect();
    }
    return method_not_allowed(kind_, call_.method);
}

}  // namespace weft::apiserver

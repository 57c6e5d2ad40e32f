// Failure: why a CNI call ends with an error, in the standard's terms: code, msg and details of the error JSON.
#pragma once
#include <expected>
#include <string>

#include "protocol/cni.h"

namespace weft::cni {

using protocol::cni::Answer;

struct Failure {
    Answer code = Answer::internal;
    std::string message;
    std::string details;
};

template <class T>
using Outcome = std::expected<T, Failure>;

inline std::unexpected<Failure> refuse(Answer code, std::string message, std::string details = {}) {
    return std::unexpected(Failure{code, std::move(message), std::move(details)});
}

}  // namespace weft::cni

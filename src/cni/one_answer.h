// OneAnswer: an agent of one answer, on a socket of its own; for tests. request() waits until it was asked. Threads: one.
#pragma once
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

#include "base/fd.h"
#include "protocol/cni.h"

namespace weft::cni {

class OneAnswer {
public:
    explicit OneAnswer(protocol::cni::Reply reply) : folder_("/tmp/weft-cni-test-" + std::to_string(getpid()) + "-a") {
        MUST(make_directories(folder_, 0700));
        listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, socket_path().c_str());
        ENSURE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
        ENSURE(::listen(listener_.get(), 4) == 0);
        thread_ = std::thread([this, reply = std::move(reply)] {
            const Fd client(::accept(listener_.get(), nullptr, nullptr));
            request_ = protocol::cni::decode_request(protocol::cni::receive_all(client.get()).value()).value();
            (void)protocol::cni::send_all(client.get(), protocol::cni::encode(reply));
        });
    }

    ~OneAnswer() { (void)remove_tree(folder_); }

    std::string socket_path() const { return folder_ + "/agent.sock"; }

    protocol::cni::Request request() {
        thread_.join();
        return request_;
    }

private:
    std::string folder_;
    Fd listener_;
    protocol::cni::Request request_;
    std::thread thread_;
};

}  // namespace weft::cni

#include "kube/transfer.h"

#include <curl/curl.h>

#include <mutex>

#include "base/strings.h"
#include "kube/plain_exchange.h"

namespace weft::kube {

namespace {

constexpr long connect_timeout_s = 5;
constexpr int poll_ms = 1000;          // an upper bound only: stop() wakes the poll
constexpr long keepalive_idle_s = 30;  // a silent watch on a dead peer ends about three probes later
constexpr Duration token_reread = std::chrono::seconds(10);

// One connection: the multi handle owns the socket and can be woken from another thread, the easy one is the request.
struct Connection {
    CURLM* multi = curl_multi_init();
    CURL* easy = curl_easy_init();

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    ~Connection() {
        curl_easy_cleanup(easy);
        curl_multi_cleanup(multi);
    }
};

struct Progress {
    const Exchange& exchange;
    RawReply reply;
    CURL* easy;
    bool ended_by_caller = false;
    bool too_large = false;
};

size_t on_body(char* data, size_t, size_t size, void* context) {
    Progress& progress = *static_cast<Progress*>(context);
    long status = 0;
    curl_easy_getinfo(progress.easy, CURLINFO_RESPONSE_CODE, &status);
    if (progress.exchange.on_data && status >= 200 && status < 300) {
        if (progress.exchange.on_data({data, size})) return size;
        progress.ended_by_caller = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (progress.reply.body.size() + size > reply_bytes_max) {
        progress.too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    progress.reply.body.append(data, size);
    return size;
}

void set_blob(CURL* easy, CURLoption option, const std::string& bytes) {
    curl_blob blob{const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, option, &blob);
}

void describe_peer(CURL* easy, const Endpoint& endpoint) {
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");  // the API server is a neighbour; no proxy from the environment
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, long(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_timeout_s);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, keepalive_idle_s);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, endpoint.user_agent.c_str());
    if (!endpoint.unix_socket.empty())
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, endpoint.unix_socket.c_str());
    if (!endpoint.ca_pem.empty()) set_blob(easy, CURLOPT_CAINFO_BLOB, endpoint.ca_pem);
    if (!endpoint.client_cert_pem.empty()) set_blob(easy, CURLOPT_SSLCERT_BLOB, endpoint.client_cert_pem);
    if (!endpoint.client_key_pem.empty()) set_blob(easy, CURLOPT_SSLKEY_BLOB, endpoint.client_key_pem);
    if (endpoint.insecure_skip_verify) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

CURLcode drive(Connection& connection, const std::stop_token& stop) {
    curl_multi_add_handle(connection.multi, connection.easy);
    const std::stop_callback wake(stop, [&] { curl_multi_wakeup(connection.multi); });
    CURLcode code = CURLE_OK;
    bool finished = false;
    while (!finished && !stop.stop_requested()) {
        int running = 0;
        if (curl_multi_perform(connection.multi, &running) != CURLM_OK) {
            code = CURLE_SEND_ERROR;
            break;
        }
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(connection.multi, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            code = message->data.result;
            finished = true;
        }
        if (!finished) curl_multi_poll(connection.multi, nullptr, 0, poll_ms, nullptr);
    }
    curl_multi_remove_handle(connection.multi, connection.easy);
    return code;
}

}  // namespace

struct ConnectionPool::State {
    const Endpoint endpoint;
    std::mutex mutex;
    std::vector<std::unique_ptr<Connection>> idle;
    std::vector<Fd> idle_dialled;
    std::string token;
    std::optional<MonotonicTime> token_read;

    std::unique_ptr<Connection> take() {
        const std::lock_guard lock(mutex);
        if (idle.empty()) return std::make_unique<Connection>();
        std::unique_ptr<Connection> connection = std::move(idle.back());
        idle.pop_back();
        return connection;
    }

    void give_back(std::unique_ptr<Connection> connection) {
        const std::lock_guard lock(mutex);
        if (idle.size() < idle_max) idle.push_back(std::move(connection));
    }

    Fd take_dialled() {
        const std::lock_guard lock(mutex);
        if (idle_dialled.empty()) return Fd();
        Fd socket = std::move(idle_dialled.back());
        idle_dialled.pop_back();
        return socket;
    }

    // A kept socket may have been closed by a server that restarted: then once more on a fresh one.
    Result<RawReply> run_dialled(const Exchange& exchange, const std::string& token) {
        if (endpoint.url.starts_with("https://"))
            return fail(Code::invalid, "a ready-made socket carries plain HTTP only; url must begin with http://");
        Fd socket = take_dialled();
        for (bool kept = bool(socket);; kept = false) {
            if (!kept) socket = TRY(endpoint.dial());
            bool heard = false;
            Result<PlainReply> result = plain_exchange(socket, endpoint, token, exchange, heard);
            if (!result && result.error().code == Code::unavailable && kept && !heard) continue;
            if (!result) return fail(std::move(result.error()));
            const std::lock_guard lock(mutex);
            if (result->reusable && idle_dialled.size() < idle_max) idle_dialled.push_back(std::move(socket));
            return std::move(result->reply);
        }
    }

    Result<std::string> bearer_token() {
        if (endpoint.token_file.empty()) return endpoint.token;
        const std::lock_guard lock(mutex);
        const MonotonicTime now = system_clock().now();
        if (!token_read || now - *token_read > token_reread) {
            token = trim(TRY_IN("bearer token", read_file(endpoint.token_file)));
            token_read = now;
        }
        return token;
    }
};

ConnectionPool::ConnectionPool(Endpoint endpoint) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    ENSURE(ready == CURLE_OK);
    state_.reset(new State{.endpoint = std::move(endpoint)});
}

ConnectionPool::~ConnectionPool() = default;

static std::unexpected<Error> transfer_error(CURLcode code, const Progress& progress, std::string_view detail,
                                             const std::string& doing) {
    if (progress.too_large) return fail(Code::exhausted, doing + ": the reply is larger than 256 MiB");
    const std::string why = fmt::format("{}: {}", doing, detail.empty() ? curl_easy_strerror(code) : detail);
    if (code == CURLE_OPERATION_TIMEDOUT) return fail(Code::timeout, why);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE)
        return fail(Code::denied, why);
    if (code == CURLE_URL_MALFORMAT) return fail(Code::invalid, why);
    return fail(Code::unavailable, why);
}

Result<RawReply> ConnectionPool::run(const Exchange& exchange) {
    const std::string token = TRY(state_->bearer_token());
    const std::string doing =
        fmt::format("{} {}", exchange.method, exchange.target.substr(0, exchange.target.find('?')));
    if (state_->endpoint.dial) return TRY_IN(doing, state_->run_dialled(exchange, token));
    std::unique_ptr<Connection> connection = state_->take();
    CURL* easy = connection->easy;
    if (easy == nullptr || connection->multi == nullptr)
        return fail(Code::exhausted, doing + ": no memory for a connection");
    curl_easy_reset(easy);  // options only; the connection stays

    const Endpoint& endpoint = state_->endpoint;
    Progress progress{exchange, {}, easy};
    char detail[CURL_ERROR_SIZE] = "";
    const std::string method(exchange.method);
    describe_peer(easy, endpoint);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(easy, CURLOPT_URL, (endpoint.url + exchange.target).c_str());
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, long(exchange.deadline_s));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &progress);

    curl_slist* headers = curl_slist_append(nullptr, fmt::format("Accept: {}", exchange.accept).c_str());
    headers = curl_slist_append(headers, "Expect:");  // no 100-continue round trip
    if (!token.empty()) headers = curl_slist_append(headers, ("Authorization: Bearer " + token).c_str());
    if (!exchange.content_type.empty()) {
        headers = curl_slist_append(headers, fmt::format("Content-Type: {}", exchange.content_type).c_str());
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(exchange.body.size()));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange.body.data());
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    const CURLcode code = drive(*connection, exchange.stop);
    curl_slist_free_all(headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);

    long status = 0;
    const char* type = nullptr;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    progress.reply.status = int(status);
    progress.reply.content_type = type == nullptr ? "" : type;
    if (progress.ended_by_caller || exchange.stop.stop_requested()) return std::move(progress.reply);
    if (code != CURLE_OK) return transfer_error(code, progress, detail, doing);
    state_->give_back(std::move(connection));
    return std::move(progress.reply);
}

std::string query_escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' || c == '~')
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

}  // namespace weft::kube

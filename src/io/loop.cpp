#include "io/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft::io {

namespace {
constexpr size_t events_per_turn = 256;
constexpr uint64_t wake_id = ~uint64_t{0};
}  // namespace

void Timer::arm(Loop& loop, Duration after) {
    ENSURE(loop_ == nullptr || loop_ == &loop);
    loop_ = &loop;
    deadline_ = loop.now() + after;
    if (index_ != not_queued) {
        // Later than where it stands: leave it, fire_due() moves it on. Keep-alive timers are re-armed on every
        // request.
        if (deadline_ >= key_) return;
        loop.erase(*this);
    }
    key_ = deadline_;
    loop.insert(*this);
}

void Timer::disarm() {
    deadline_ = {};
    if (index_ != not_queued) loop_->erase(*this);
}

Result<std::unique_ptr<Loop>> Loop::create() {
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return fail_errno("epoll_create1");
    Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) return fail_errno("eventfd");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = wake_id}};
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) return fail_errno("epoll_ctl");
    return std::unique_ptr<Loop>(new Loop(std::move(epoll), std::move(wake)));
}

Loop::Loop(Fd epoll, Fd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)), now_(system_clock().now()) {}

Loop::~Loop() {
    for (Timer* timer : heap_) {
        timer->index_ = Timer::not_queued;
        timer->deadline_ = {};
    }
}

Status Loop::watch(int fd, Handler& handler) {
    if (size_t(fd) >= slots_.size()) slots_.resize(size_t(fd) + 1);
    Slot& slot = slots_[size_t(fd)];
    slot.handler = &handler;
    ++slot.generation;
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                      .data = {.u64 = uint64_t(slot.generation) << 32 | uint32_t(fd)}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        slot.handler = nullptr;
        return fail_errno("epoll_ctl");
    }
    return {};
}

void Loop::unwatch(int fd) {
    if (size_t(fd) >= slots_.size() || slots_[size_t(fd)].handler == nullptr) return;
    slots_[size_t(fd)].handler = nullptr;
    ++slots_[size_t(fd)].generation;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::post(std::function<void()> work) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = posted_.empty();
        posted_.push_back(std::move(work));
    }
    if (first) {
        const uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof one);
    }
}

void Loop::run(std::stop_token stop) {
    const std::stop_callback wake(stop, [this] { post([] {}); });
    while (!stop.stop_requested()) turn(std::chrono::hours(1));
}

void Loop::turn(Duration wait) {
    now_ = system_clock().now();
    const Duration bounded =
        std::clamp(std::min(wait, until_next_timer()), Duration::zero(), Duration(std::chrono::hours(1)));
    std::array<epoll_event, events_per_turn> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), int(events.size()),
                               int(std::chrono::ceil<std::chrono::milliseconds>(bounded).count()));
    now_ = system_clock().now();
    for (int i = 0; i < n; ++i) {
        const uint64_t id = events[size_t(i)].data.u64;
        if (id == wake_id) {
            uint64_t count = 0;
            (void)!::read(wake_.get(), &count, sizeof count);
            run_posted();
            continue;
        }
        const Slot& slot = slots_[uint32_t(id)];
        if (slot.handler != nullptr && slot.generation == uint32_t(id >> 32))
            slot.handler->ready(events[size_t(i)].events);
    }
    fire_due();
}

void Loop::run_posted() {
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard lock(mutex_);
        work.swap(posted_);
    }
    for (const auto& one : work) one();
}

Duration Loop::until_next_timer() const {
    return heap_.empty() ? Duration(std::chrono::hours(1)) : heap_.front()->key_ - now_;
}

void Loop::fire_due() {
    while (!heap_.empty() && heap_.front()->key_ <= now_) {
        Timer& timer = *heap_.front();
        erase(timer);
        if (timer.deadline_ > now_) {
            timer.key_ = timer.deadline_;
            insert(timer);
            continue;
        }
        timer.deadline_ = {};
        timer.fire_(timer.owner_);  // may destroy the timer
    }
}

void Loop::insert(Timer& timer) {
    heap_.push_back(&timer);
    timer.index_ = uint32_t(heap_.size() - 1);
    sift_up(timer.index_);
}

void Loop::erase(Timer& timer) {
    const size_t hole = timer.index_;
    timer.index_ = Timer::not_queued;
    Timer* last = heap_.back();
    heap_.pop_back();
    if (last == &timer) return;
    place(hole, last);
    sift_up(hole);
    sift_down(last->index_);
}

void Loop::place(size_t i, Timer* timer) {
    heap_[i] = timer;
    timer->index_ = uint32_t(i);
}

void Loop::sift_up(size_t i) {
    Timer* timer = heap_[i];
    while (i > 0 && timer->key_ < heap_[(i - 1) / 2]->key_) {
        place(i, heap_[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(i, timer);
}

void Loop::sift_down(size_t i) {
    Timer* timer = heap_[i];
    for (size_t child = 2 * i + 1; child < heap_.size(); child = 2 * i + 1) {
        if (child + 1 < heap_.size() && heap_[child + 1]->key_ < heap_[child]->key_) ++child;
        if (timer->key_ <= heap_[child]->key_) break;
        place(i, heap_[child]);
        i = child;
    }
    place(i, timer);
}

}  // namespace weft::io

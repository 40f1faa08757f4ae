// What the system calls allow: the loops that a store would have to run if it did nothing else. Every loop ends after a
// time or a number of bytes, whichever comes first, and runs on the calling thread.

#include <fcntl.h>
#include <napi.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

// A write of 2 MiB or more makes ext4 take page-cache blocks of 2 MiB, which are slow to get; varve splits there too.
constexpr size_t kLargestWrite = 1 << 20;
constexpr size_t kMostVectors = 1024;

int64_t Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

class Failure : public std::runtime_error {
 public:
  explicit Failure(const char* call) : std::runtime_error(std::string(call) + ": " + std::strerror(errno)) {}
};

class File {
 public:
  File(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) throw Failure("open");
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

  void Write(std::vector<iovec> vectors, off_t at) const {
    size_t first = 0;
    while (first < vectors.size()) {
      size_t count = 0, bytes = 0;
      while (first + count < vectors.size() && count < kMostVectors && bytes + vectors[first + count].iov_len <= kLargestWrite) {
        bytes += vectors[first + count++].iov_len;
      }
      const ssize_t written = pwritev(fd_, &vectors[first], static_cast<int>(std::max<size_t>(count, 1)), at);
      if (written < 0) throw Failure("pwritev");
      at += written;
      size_t rest = static_cast<size_t>(written);
      while (first < vectors.size() && rest >= vectors[first].iov_len) rest -= vectors[first++].iov_len;
      if (rest > 0) {
        vectors[first].iov_base = static_cast<char*>(vectors[first].iov_base) + rest;
        vectors[first].iov_len -= rest;
      }
    }
  }

  void Sync() const {
    if (fdatasync(fd_) < 0) throw Failure("fdatasync");
  }

 private:
  int fd_;
};

std::vector<char> RandomBytes(size_t size) {
  std::vector<char> bytes(size);
  uint64_t state = 88172645463325252ULL;
  for (char& byte : bytes) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    byte = static_cast<char>(state);
  }
  return bytes;
}

class Options {
 public:
  explicit Options(const Napi::CallbackInfo& info) : object_(info[0].As<Napi::Object>()) {}
  std::string Text(const char* name) const { return object_.Get(name).As<Napi::String>(); }
  int64_t Number(const char* name) const { return object_.Get(name).As<Napi::Number>().Int64Value(); }
  bool Flag(const char* name) const { return object_.Get(name).ToBoolean(); }

 private:
  Napi::Object object_;
};

// Where a loop keeps how long each of its steps took, and what it returns.
class Steps {
 public:
  explicit Steps(int64_t nanoseconds) : start_(Now()), last_(start_), until_(start_ + nanoseconds) {}
  bool Done() const { return last_ >= until_; }
  void Count(int64_t bytes) {
    const int64_t now = Now();
    if (durations_.size() < kMostKept) durations_.push_back(static_cast<double>(now - last_));
    last_ = now;
    bytes_ += bytes;
    count_++;
  }
  int64_t bytes() const { return bytes_; }
  Napi::Value Result(Napi::Env env) const {
    auto result = Napi::Object::New(env);
    auto durations = Napi::Float64Array::New(env, durations_.size());
    std::copy(durations_.begin(), durations_.end(), durations.Data());
    result.Set("steps", static_cast<double>(count_));
    result.Set("bytes", static_cast<double>(bytes_));
    result.Set("nanoseconds", static_cast<double>(last_ - start_));
    result.Set("durations", durations);
    return result;
  }

 private:
  static constexpr size_t kMostKept = 1 << 20;
  int64_t start_, last_, until_, bytes_ = 0, count_ = 0;
  std::vector<double> durations_;
};

// append({ path, size, group, durable, preallocate, nanoseconds, maxBytes }): `group` records of `size` bytes to the end
// of a file in as few writes as may be, and one fdatasync behind them.
Napi::Value Append(const Napi::CallbackInfo& info) {
  const Options options(info);
  const File file(options.Text("path"), O_CREAT | O_WRONLY);
  const size_t size = options.Number("size"), group = options.Number("group");
  const int64_t max = options.Number("maxBytes"), preallocate = options.Number("preallocate");
  const bool durable = options.Flag("durable");
  // The records lie behind one another already: putting them there is the work of whoever has more to do than this.
  std::vector<char> records = RandomBytes(std::min(size * group, kLargestWrite));
  std::vector<iovec> vectors(size * group / records.size(), iovec{records.data(), records.size()});
  if (const size_t rest = size * group % records.size(); rest > 0) vectors.push_back(iovec{records.data(), rest});
  off_t allocated = 0;
  Steps steps(options.Number("nanoseconds"));
  while (!steps.Done() && steps.bytes() < max) {
    const off_t at = steps.bytes();
    if (preallocate > 0 && at + static_cast<off_t>(size * group) > allocated) {
      if (fallocate(file.fd(), FALLOC_FL_KEEP_SIZE, allocated, preallocate) < 0) throw Failure("fallocate");
      allocated += preallocate;
    }
    file.Write(vectors, at);
    if (durable) file.Sync();
    steps.Count(size * group);
  }
  return steps.Result(info.Env());
}

// overwrite({ path, size, fileBytes, random, syncBytes, nanoseconds }): writes into a file that has its blocks, one behind
// the other or anywhere, with an fdatasync behind every `syncBytes`.
Napi::Value Overwrite(const Napi::CallbackInfo& info) {
  const Options options(info);
  const File file(options.Text("path"), O_WRONLY);
  const int64_t size = options.Number("size"), places = options.Number("fileBytes") / size;
  const int64_t sync = options.Number("syncBytes");
  const bool random = options.Flag("random");
  std::vector<char> record = RandomBytes(size);
  uint64_t state = 0x9E3779B97F4A7C15ULL;
  int64_t next = 0, unsynced = 0;
  Steps steps(options.Number("nanoseconds"));
  while (!steps.Done()) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const int64_t place = random ? static_cast<int64_t>(state % places) : next++ % places;
    file.Write({iovec{record.data(), static_cast<size_t>(size)}}, place * size);
    unsynced += size;
    if (unsynced >= sync) {
      file.Sync();
      unsynced = 0;
    }
    steps.Count(size);
  }
  return steps.Result(info.Env());
}

// read({ path, size, random, nanoseconds }): the whole file once in pieces of `size`, or such pieces from anywhere.
Napi::Value Read(const Napi::CallbackInfo& info) {
  const Options options(info);
  const File file(options.Text("path"), O_RDONLY);
  const int64_t size = options.Number("size");
  const bool random = options.Flag("random");
  const off_t end = lseek(file.fd(), 0, SEEK_END);
  std::vector<char> buffer(size);
  const iovec vector{buffer.data(), buffer.size()};
  uint64_t state = 0x9E3779B97F4A7C15ULL;
  Steps steps(options.Number("nanoseconds"));
  while (!steps.Done()) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const off_t at = random ? static_cast<off_t>(state % (end / size)) * size : steps.bytes();
    const ssize_t got = preadv(file.fd(), &vector, 1, at);
    if (got < 0) throw Failure("preadv");
    if (got == 0) break;
    steps.Count(got);
  }
  return steps.Result(info.Env());
}

void WaitUntilWritable(int socket) {
  pollfd wanted{socket, POLLOUT, 0};
  if (poll(&wanted, 1, 30'000) <= 0) throw Failure("poll");
}

// send({ path, socket, size, nanoseconds }): the file over and over into a connected socket, `size` bytes a call.
Napi::Value Send(const Napi::CallbackInfo& info) {
  const Options options(info);
  const File file(options.Text("path"), O_RDONLY);
  const int socket = static_cast<int>(options.Number("socket"));
  const off_t end = lseek(file.fd(), 0, SEEK_END), size = options.Number("size");
  off_t at = 0;
  Steps steps(options.Number("nanoseconds"));
  while (!steps.Done()) {
    off_t left = std::min<off_t>(size, end - at);
    const off_t whole = left;
    while (left > 0) {
      const ssize_t sent = sendfile(socket, file.fd(), &at, static_cast<size_t>(left));
      if (sent > 0) {
        left -= sent;
      } else if (sent < 0 && errno == EAGAIN) {
        WaitUntilWritable(socket);
      } else {
        throw Failure("sendfile");
      }
    }
    if (at == end) at = 0;
    steps.Count(whole);
  }
  return steps.Result(info.Env());
}

// receive({ port }): connects to a server on this machine, takes whatever comes until the end, and tells how many bytes.
Napi::Value Receive(const Napi::CallbackInfo& info) {
  const Options options(info);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) throw Failure("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options.Number("port")));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) throw Failure("connect");
  std::vector<char> buffer(kLargestWrite);
  int64_t total = 0;
  for (;;) {
    const ssize_t got = recv(socket, buffer.data(), buffer.size(), 0);
    if (got < 0) throw Failure("recv");
    if (got == 0) break;
    total += got;
  }
  close(socket);
  return Napi::Number::New(info.Env(), static_cast<double>(total));
}

template <Napi::Value (*Loop)(const Napi::CallbackInfo&)>
Napi::Value Guarded(const Napi::CallbackInfo& info) {
  try {
    return Loop(info);
  } catch (const Failure& failure) {
    throw Napi::Error::New(info.Env(), failure.what());
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("append", Napi::Function::New(env, Guarded<Append>));
  exports.Set("overwrite", Napi::Function::New(env, Guarded<Overwrite>));
  exports.Set("read", Napi::Function::New(env, Guarded<Read>));
  exports.Set("send", Napi::Function::New(env, Guarded<Send>));
  exports.Set("receive", Napi::Function::New(env, Guarded<Receive>));
  return exports;
}

}  // namespace

NODE_API_MODULE(ceiling, Init)

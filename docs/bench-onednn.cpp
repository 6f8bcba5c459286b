// 3x3 convolutions of oneDNN at the shapes of BenchmarkConv3x3 in backend/cpu, for docs/bench.sh. One line each: operation, shape,
// form, GFLOP/s of the fastest call (counted as the direct form's). Layouts are oneDNN's choice and made before the clock starts.
//   g++ -O2 bench-onednn.cpp -ldnnl && OMP_NUM_THREADS=2 ./a.out
#include <chrono>
#include <cstdio>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>
using namespace dnnl;
using tag = memory::format_tag;

static engine eng(engine::kind::cpu, 0);
static stream str(eng);

static memory make(const memory::desc &d) {
  memory m(d, eng);
  char *p = static_cast<char *>(m.get_data_handle());
  for (size_t i = 0; i < d.get_size(); i++) p[i] = 0;
  if (d.data_type() == memory::data_type::f32) {
    float *f = reinterpret_cast<float *>(p);
    for (size_t i = 0; i < d.get_size() / 4; i++) f[i] = float(i % 17) / 16 - 0.5f;
  }
  return m;
}

static void run(const char *op, int n, int c, int s, const char *form, algorithm alg, memory::data_type in) {
  const auto f32 = memory::data_type::f32;
  memory::dims xd{n, c, s, s}, wd{c, c, 3, 3}, one{1, 1};
  const bool weight = std::string(op) == "conv2d_weight", data = std::string(op) == "conv2d_data";
  memory::desc x(xd, data ? f32 : in, tag::any), w(wd, weight ? f32 : in, tag::any), y(xd, weight || data ? in : f32, tag::any);
  try {
    memory::desc fx(xd, in, tag::any), fw(wd, in, tag::any), fy(xd, in == f32 ? f32 : in, tag::any);
    convolution_forward::primitive_desc hint({prop_kind::forward_training, alg, fx, fw, fy, one, one, one}, eng);
    primitive p;
    std::unordered_map<int, memory> args;
    if (weight) {
      convolution_backward_weights::primitive_desc pd({alg, x, w, y, one, one, one}, eng, hint);
      p = convolution_backward_weights(pd);
      args = {{DNNL_ARG_SRC, make(pd.src_desc())}, {DNNL_ARG_DIFF_DST, make(pd.diff_dst_desc())}, {DNNL_ARG_DIFF_WEIGHTS, make(pd.diff_weights_desc())}};
    } else if (data) {
      convolution_backward_data::primitive_desc pd({alg, x, w, y, one, one, one}, eng, hint);
      p = convolution_backward_data(pd);
      args = {{DNNL_ARG_DIFF_SRC, make(pd.diff_src_desc())}, {DNNL_ARG_WEIGHTS, make(pd.weights_desc())}, {DNNL_ARG_DIFF_DST, make(pd.diff_dst_desc())}};
    } else {
      convolution_forward::primitive_desc pd({prop_kind::forward_training, alg, x, w, y, one, one, one}, eng);
      p = convolution_forward(pd);
      args = {{DNNL_ARG_SRC, make(pd.src_desc())}, {DNNL_ARG_WEIGHTS, make(pd.weights_desc())}, {DNNL_ARG_DST, make(pd.dst_desc())}};
    }
    double best = 1e9, total = 0;
    for (int i = 0; i < 200 && (i < 6 || total < 0.4); i++) {
      auto start = std::chrono::steady_clock::now();
      p.execute(str, args);
      str.wait();
      double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      total += t;
      if (i && t < best) best = t;
    }
    std::printf("%s %dx%d@%dx%d %s %.0f\n", op, c, c, s, s, form, 2. * 9 * n * s * s * c * c / best / 1e9);
  } catch (const error &) {
    std::printf("%s %dx%d@%dx%d %s none\n", op, c, c, s, s, form);
  }
  std::fflush(stdout);
}

int main() {
  const int shapes[][2] = {{64, 64}, {128, 32}, {256, 16}, {512, 8}};
  for (const char *op : {"conv2d", "conv2d_data", "conv2d_weight"})
    for (auto &s : shapes) {
      run(op, 16, s[0], s[1], "direct", algorithm::convolution_direct, memory::data_type::f32);
      run(op, 16, s[0], s[1], "winograd", algorithm::convolution_winograd, memory::data_type::f32);
      run(op, 16, s[0], s[1], "bf16", algorithm::convolution_direct, memory::data_type::bf16);
    }
}

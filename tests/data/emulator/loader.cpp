// A user of emulator libraries that knows the published interface only, nothing of zerobias.
// Usage: loader WHAT LIBRARY.so; exit status 0 when it ends well, what it saw is printed.
#include <any>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <string>

#include "ap_fixed.h"

namespace hls4mlEmulator {
class Model {
  public:
    virtual void prepare_input(std::any input) = 0;
    virtual void predict() = 0;
    virtual void read_result(std::any result) = 0;
    virtual ~Model() = default;
};
} // namespace hls4mlEmulator

typedef hls4mlEmulator::Model Model;
typedef ap_fixed<18, 13> Input;
typedef SCORE_T Score;

// As the published loader: the library is closed with it, the model is destroyed by the library's function.
struct Loader {
    std::string path;
    void *library = nullptr;

    explicit Loader(const std::string &name) : path(name) {}

    ~Loader() {
        if (library) dlclose(library);
    }

    std::shared_ptr<Model> load() {
        library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
        if (!library) throw std::runtime_error(dlerror());
        auto create = reinterpret_cast<Model *(*)()>(dlsym(library, "create_model"));
        auto destroy = reinterpret_cast<void (*)(Model *)>(dlsym(library, "destroy_model"));
        return std::shared_ptr<Model>(create(), [destroy](Model *model) { destroy(model); });
    }
};

static double score(Model &model) {
    Input x[57];
    for (int i = 0; i < 57; i++) x[i] = 0.5 * i;
    Score result[1];
    model.prepare_input(x + 0);
    model.predict();
    model.read_result(result + 0);
    return result[0].to_double();
}

template <class F> static void refused(F action) {
    try {
        action();
        printf("taken\n");
    } catch (const std::bad_any_cast &error) {
        printf("%s\n", error.what());
    }
}

int main(int, char **argv) {
    const std::string what = argv[1], path = argv[2];
    if (what == "outlive") {
        std::shared_ptr<Model> model;
        {
            Loader loader(path);
            model = loader.load();
        }
        printf("%g\n", score(*model));
        model.reset();
    } else if (what == "reload") {
        for (int event = 0; event < 3; event++) {
            Loader loader(path);
            score(*loader.load());
        }
        void *kept = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
        printf("%s\n", kept ? "kept" : "unloaded");
    } else if (what == "early") {
        Loader loader(path);
        Score result[1] = {1};
        loader.load()->read_result(result + 0);
        printf("%g\n", result[0].to_double());
    } else if (what == "types") {
        Loader loader(path);
        const auto model = loader.load();
        int whole[57] = {};
        ap_fixed<18, 14> coarse[57];
        float real[1];
        refused([&] { model->prepare_input(static_cast<int *>(whole)); });
        refused([&] { model->prepare_input(static_cast<ap_fixed<18, 14> *>(coarse)); });
        refused([&] { model->prepare_input(static_cast<Input *>(nullptr)); });
        refused([&] { model->read_result(static_cast<float *>(real)); });
    }
    return 0;
}

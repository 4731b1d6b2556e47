/* A library that speaks NVML's C interface for machines without an NVIDIA card: two cards, and the faults that real
 * drivers show. The file named by NVML_DOUBLE holds the fault: none, no-driver, mismatch, lost, gone, hang. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, MISMATCH = 18 };

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilization;

static char cards[2];

static int fault_is(const char *name) {
    char found[32] = "";
    FILE *file = fopen(getenv("NVML_DOUBLE"), "r");
    if (file != NULL) {
        if (fscanf(file, "%31s", found) != 1) found[0] = 0;
        fclose(file);
    }
    return strcmp(found, name) == 0;
}

static int second(void *card) { return card == &cards[1]; }

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    while (fault_is("hang")) usleep(5000);
    if (fault_is("no-driver")) return DRIVER_NOT_LOADED;
    return fault_is("mismatch") ? MISMATCH : OK;
}

int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "as the double says"; }

int nvmlSystemGetDriverVersion(char *text, unsigned int size) { snprintf(text, size, "600.12"); return OK; }

int nvmlDeviceGetCount_v2(unsigned int *count) {
    if (fault_is("gone")) return GPU_IS_LOST;
    *count = 2;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card) {
    if (index > 1) return NOT_FOUND;
    *card = &cards[index];
    return OK;
}

int nvmlDeviceGetName(void *card, char *text, unsigned int size) {
    snprintf(text, size, second(card) ? "Small Card" : "Big Card");
    return OK;
}

int nvmlDeviceGetUUID(void *card, char *text, unsigned int size) {
    snprintf(text, size, "GPU-%d", second(card));
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *card, Memory *memory) {
    if (second(card)) return NOT_SUPPORTED; /* shared with the processor */
    memory->total = 24ULL << 30;
    memory->used = 6ULL << 30;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *card, Utilization *use) {
    if (second(card)) return NOT_SUPPORTED;
    use->gpu = 37;
    use->memory = 5;
    return OK;
}

int nvmlDeviceGetTemperature(void *card, int sensor, unsigned int *celsius) {
    (void)sensor;
    if (second(card) && fault_is("lost")) return GPU_IS_LOST; /* falls off the bus between two questions */
    *celsius = second(card) ? 41 : 63;
    return OK;
}

int nvmlDeviceGetPowerUsage(void *card, unsigned int *milliwatts) {
    if (second(card)) return NOT_SUPPORTED;
    *milliwatts = 183500;
    return OK;
}

int nvmlDeviceGetEnforcedPowerLimit(void *card, unsigned int *milliwatts) {
    if (second(card)) return NOT_SUPPORTED;
    *milliwatts = 350000;
    return OK;
}

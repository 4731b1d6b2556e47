/* A library that speaks NVML's C interface for machines without an NVIDIA card: two cards, and the faults that real
 * drivers show. The file named by NVML_DOUBLE holds the fault: none, no-driver, mismatch, lost, gone, hang, no-permission. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OK = 0,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NO_PERMISSION = 4,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15,
    MISMATCH = 18
};

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, slice; } Process;
typedef struct { unsigned int pid; unsigned long long at; unsigned int sm, memory, encoder, decoder; } Sample;

static char cards[2];
static unsigned int limit = 350000; /* milliwatts, of the big card */

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
    *milliwatts = limit;
    return OK;
}

int nvmlDeviceGetPowerManagementLimitConstraints(void *card, unsigned int *low, unsigned int *high) {
    if (second(card)) return NOT_SUPPORTED;
    *low = 100000;
    *high = 400000;
    return OK;
}

int nvmlDeviceGetPowerManagementDefaultLimit(void *card, unsigned int *milliwatts) {
    if (second(card)) return NOT_SUPPORTED;
    *milliwatts = 350000;
    return OK;
}

int nvmlDeviceSetPowerManagementLimit(void *card, unsigned int milliwatts) {
    if (second(card)) return NOT_SUPPORTED;
    if (fault_is("no-permission")) return NO_PERMISSION;
    if (milliwatts < 100000 || milliwatts > 400000) return INVALID_ARGUMENT;
    limit = milliwatts;
    return OK;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **card) {
    if (strcmp(uuid, "GPU-0") != 0 && strcmp(uuid, "GPU-1") != 0) return NOT_FOUND;
    *card = &cards[uuid[4] == '1'];
    return OK;
}

/* This process computes on the big card, and the first process of the system draws on it. */
static int one_process(void *card, unsigned int *room, Process *list, unsigned int pid, unsigned long long used) {
    if (second(card)) return NOT_SUPPORTED;
    unsigned int had = *room;
    *room = 1;
    if (had < 1) return INSUFFICIENT_SIZE;
    memset(list, 0, sizeof *list);
    list->pid = pid;
    list->used = used;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned int *room, Process *list) {
    return one_process(card, room, list, (unsigned int)getpid(), 2ULL << 30);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *card, unsigned int *room, Process *list) {
    return one_process(card, room, list, 1, ~0ULL); /* its memory is not told */
}

int nvmlDeviceGetProcessUtilization(void *card, Sample *list, unsigned int *room, unsigned long long since) {
    if (second(card)) return NOT_SUPPORTED;
    if (since >= 2000) return NOT_FOUND; /* nothing was sampled since */
    unsigned int had = *room;
    *room = 2;
    if (had < 2) return INSUFFICIENT_SIZE;
    memset(list, 0, 2 * sizeof *list);
    list[0].pid = list[1].pid = (unsigned int)getpid();
    list[0].at = 1000;
    list[0].sm = 20;
    list[1].at = 2000;
    list[1].sm = 40;
    return OK;
}

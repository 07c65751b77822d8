/* The loss of tori, or of patches of larger ones, and its gradient, layer by layer.

   A patch is treated as a small torus around the sites whose forces count: what its edges see across is wrong, but never reaches these
   sites, nor do slopes reach the edges. Only the fields, which come with their true halo, do not close on themselves. Of a patch each layer
   needs fewer sheets than the one before, and no others are worked on. */

#include <sched.h>
#include <stdatomic.h>

typedef struct {
    long batch, sheets;                   /* configurations; sheets of features */
    long targets_first, target_sheets, target_sites; /* the sheets that have forces to compare with, and the sites of each */
    long field_first, field_sheets, field_count;     /* sheets of fields, that of the first one of features, and values of each */
    long start, count, stride, pitch;     /* of sheets of features: first position and number of those worked on */
    long field_start, field_stride;
    long wraps, threads;
    const int *field_source;              /* for each position of a field sheet the value that it takes */
    const int *wrap;                      /* pairs (position in the halo, position of the same site inside) */
    const float *valid, *counted;         /* 1 where a position is a site, or one whose force counts; 0 elsewhere */
    const int *inside;                    /* position of every site whose force counts */
    const float *fields, *targets, *importance; /* (batch, component, site), and the weight of each configuration */
    const float *w;
    float *features, *active, *slope, *sent, *fields_padded, *seen, *seen_slope;
    vec *gradients;
    double *losses;                       /* one for each thread */
    atomic_int waiting, round;
} job;

static void meet(job *j) {
    int round = atomic_load(&j->round);
    if (atomic_fetch_add(&j->waiting, 1) + 1 == j->threads) {
        atomic_store(&j->waiting, 0);
        atomic_fetch_add(&j->round, 1);
        return;
    }
    for (long n = 0; atomic_load(&j->round) == round; n++)
        if (n > 4000) sched_yield();
}

static void close_sheet(const job *j, float *values, int channels) {
    for (int c = 0; c < channels; c++, values += j->stride)
        for (long n = 0; n < j->wraps; n++) values[j->wrap[2 * n]] = values[j->wrap[2 * n + 1]];
}

/* Pointers to the 2 reach + 1 sheets around y of an array of sheets that closes on itself. */
static inline void around(const float *values, long sheets, long size, long y, long reach, long dilation, const float **rows) {
    for (long k = 0; k <= 2 * reach; k++) {
        long at = SLOW ? (y + (k - reach) * dilation) % sheets : 0;
        rows[k] = values + (at < 0 ? at + sheets : at) * size;
    }
}

typedef struct { long from, to, start, last; } part;

/* Of the features of layer l, the sheets that this thread works on, and the positions within each: of a patch those that are needed. */
static part mine(const job *j, long me, int l) {
    long margin = 0;
    for (int k = 0; k < l; k++) margin += RADIUS * DILATION[k];
    if (j->inside[0] == j->start) margin = 0; /* a torus, all of which counts */
    const long outer = j->targets_first > 0 ? margin : 0, inner = margin * (j->pitch ? j->pitch : 1);
    const long sheets = j->sheets - 2 * outer;
    return (part){outer + sheets * me / j->threads, outer + sheets * (me + 1) / j->threads, j->start + inner, j->start + j->count - inner};
}

/* What thread number ``me`` does; all threads of a job must run at once, for they wait for each other. */
void work(job *j, long me) {
    const long stride = j->stride, pitch = j->pitch, shift = j->field_start - j->start;
    const long size = CHANNELS * stride, level = size * j->sheets, field_size = COMPONENTS * j->field_stride;
    const float *w = j->w;
    vec *gradient = j->gradients + (long)me * WEIGHTS;
    const part every = mine(j, me, 0);
    double loss = 0.0;
    for (long b = 0; b < j->batch; b++) {
        const long sites = j->target_sheets * j->target_sites;
        for (long y = j->field_sheets * me / j->threads; y < j->field_sheets * (me + 1) / j->threads; y++)
            for (int v = 0; v < COMPONENTS; v++) {
                const float *x = j->fields + ((b * COMPONENTS + v) * j->field_sheets + y) * j->field_count;
                float *q = j->fields_padded + y * field_size + v * j->field_stride;
                for (long n = 0; n < j->field_stride; n++) q[n] = x[j->field_source[n]];
            }
        memset(j->slope + every.from * size, 0, (every.to - every.from) * size * sizeof(float));
        memset(j->sent + every.from * RETURNED * stride, 0, (every.to - every.from) * RETURNED * stride * sizeof(float));
        meet(j);
        for (long y = every.from; y < every.to; y++) {
            const float *near[2 * FIRST_RADIUS + 1], *far[2 * WIDE_RADIUS + 1];
            around(j->fields_padded, j->field_sheets, field_size, y + j->field_first, FIRST_RADIUS, 1, near);
            around(j->fields_padded, j->field_sheets, field_size, y + j->field_first, WIDE_RADIUS, 1, far);
            float *seen = j->seen + y * SEEN * stride;
            for (long x = every.start; x < every.last; x += PAIR) {
#if SEEN
                const float *at[FAR];
                point_far(far, j->field_stride, pitch, x + shift, at);
                look_far(w, at, j->field_stride, seen + x, stride);
#endif
                first(w, near, j->field_stride, pitch, x + shift, seen + x, stride, j->features + y * size + x,
                      j->active + y * size + x, stride);
            }
            close_sheet(j, j->active + y * size, CHANNELS);
        }
        meet(j);
        for (int l = 1; l <= DEPTH; l++) {
            const float *block = block_weights(w, l - 1);
            const part here = mine(j, me, l);
            for (long y = here.from; y < here.to; y++) {
                const float *rows[2 * RADIUS + 1], *old = j->features + (l - 1) * level + y * size;
                around(j->active + (l - 1) * level, j->sheets, size, y, RADIUS, DILATION[l - 1], rows);
                float *feature = j->features + l * level + y * size, *active = j->active + l * level + y * size;
                for (long x = here.start; x < here.last; x += PAIR) {
                    if (l < DEPTH)
                        step(block, rows, stride, pitch, x, DILATION[l - 1], old + x, feature + x, active + x, block_weights(w, l), 0);
                    else
                        step(block, rows, stride, pitch, x, DILATION[l - 1], old + x, feature + x, 0, block, 0);
                }
                if (l < DEPTH) close_sheet(j, active, CHANNELS);
            }
            meet(j);
        }
        const float factor = 2.0f * j->importance[b] / ((float)j->batch * OUTPUTS * sites);
        double squares = 0.0;
        const part counted = mine(j, me, DEPTH);
        for (long y = counted.from; y < counted.to; y++) {
            const float *feature = j->features + DEPTH * level + y * size;
            float *slope = j->slope + y * size, *error = j->seen_slope + y * MAX(SEEN, OUTPUTS) * stride;
            const long row = y - j->targets_first; /* of the targets */
#if !DUAL
            for (long x = counted.start; x < counted.last; x += PAIR) {
                pair f[CHANNELS], a[CHANNELS], out[OUTPUTS];
                load_all(feature + x, stride, f);
                if (!TYPED) activate_all(block_weights(w, DEPTH - 1), f, a);
                read(w, TYPED ? f : a, out);
                for (int v = 0; v < OUTPUTS; v++) store(error + v * stride + x, out[v]);
            }
            for (int v = 0; v < OUTPUTS; v++) {
                const float *target = j->targets + (b * OUTPUTS + v) * sites + row * j->target_sites;
                for (long n = 0; n < j->target_sites; n++) {
                    float *e = error + v * stride + j->inside[n];
                    *e -= target[n];
                    squares += (double)*e * *e;
                    *e *= factor;
                }
            }
#endif
            for (long x = counted.start; x < counted.last; x += PAIR) {
                pair f[CHANNELS], a[CHANNELS], down[CHANNELS], up[OUTPUTS];
                load_all(feature + x, stride, f);
                if (!TYPED) activate_all(block_weights(w, DEPTH - 1), f, a);
#if DUAL
                up[0] = scale(-1.0f, load(j->counted + x)); /* the direction of the fields holds all else */
#else
                for (int v = 0; v < OUTPUTS; v++) up[v] = mul(load(error + v * stride + x), load(j->counted + x));
#endif
                read_back(w, TYPED ? f : a, up, down, gradient);
                if (!TYPED) {
                    pair through[CHANNELS];
                    for (int n = 0; n < CHANNELS; n++) through[n] = down[n], down[n] = all(0.0f);
                    activation_back(block_weights(w, DEPTH - 1), feature + x, stride, through, down, gradient + W_BLOCKS);
                }
                store_all(down, slope + x, stride);
            }
        }
        loss += squares * j->importance[b] / ((double)j->batch * OUTPUTS * sites);
        for (int l = DEPTH; l > 0; l--) {
            const float *block = block_weights(w, l - 1);
            vec *own = gradient + W_BLOCKS + (l - 1) * W_BLOCK;
            const part here = mine(j, me, l);
            for (long y = here.from; y < here.to; y++) {
                const float *rows[2 * RADIUS + 1];
                float *slope = j->slope + y * size, *sent = j->sent + y * RETURNED * stride;
                around(j->active + (l - 1) * level, j->sheets, size, y, RADIUS, DILATION[l - 1], rows);
                for (long x = here.start; x < here.last; x += PAIR)
                    send(block, rows, stride, pitch, x, DILATION[l - 1], slope + x, stride, sent + x, own);
                stencil_gradient(rows, stride, pitch, here.start, here.last - here.start, DILATION[l - 1], sent + here.start, stride, own);
                close_sheet(j, sent, RETURNED);
            }
            meet(j);
            const part there = mine(j, me, l - 1);
            for (long y = there.from; y < there.to; y++) {
                const float *rows[2 * RADIUS + 1], *feature = j->features + (l - 1) * level + y * size;
                float *slope = j->slope + y * size;
                around(j->sent, j->sheets, RETURNED * stride, y, RADIUS, DILATION[l - 1], rows);
                for (long x = there.start; x < there.last; x += PAIR) {
                    pair up[CHANNELS], down[CHANNELS];
                    gather(block, rows, stride, pitch, x, DILATION[l - 1], up);
                    /* What is no site is worked on too, and must not count. */
                    for (int n = 0; n < CHANNELS; n++) up[n] = mul(up[n], load(j->valid + x));
                    load_all(slope + x, stride, down);
                    activation_back(block, feature + x, stride, up, down, own);
                    store_all(down, slope + x, stride);
                }
            }
            meet(j);
        }
        for (long y = every.from; y < every.to; y++) {
            const float *near[2 * FIRST_RADIUS + 1], *far[2 * WIDE_RADIUS + 1];
            around(j->fields_padded, j->field_sheets, field_size, y + j->field_first, FIRST_RADIUS, 1, near);
            around(j->fields_padded, j->field_sheets, field_size, y + j->field_first, WIDE_RADIUS, 1, far);
            for (long x = every.start; x < every.last; x += PAIR) {
                const float *at[NEAR];
                pair slope[CHANNELS];
                float *seen_slope = j->seen_slope + y * MAX(SEEN, OUTPUTS) * stride + x;
                point_near(near, j->field_stride, pitch, x + shift, at);
                load_all(j->slope + y * size + x, stride, slope);
                embed_back(w, at, j->field_stride, j->seen + y * SEEN * stride + x, stride, slope, gradient, seen_slope);
#if SEEN
                const float *wide[FAR];
                point_far(far, j->field_stride, pitch, x + shift, wide);
                look_far_back(wide, j->field_stride, seen_slope, stride, gradient);
#endif
            }
        }
        meet(j);
    }
    j->losses[me] = loss;
}

/* Divide memory among the arrays of a job; returns the number of bytes. */
static long divide(job *j, char *memory) {
    char *at = memory;
#define TAKE(target, type, count) (target = (type *)at, at += UP((long)(count) * (long)sizeof(type), 64))
    long sheet = j->sheets * j->stride;
    TAKE(j->features, float, (DEPTH + 1) * CHANNELS * sheet);
    TAKE(j->active, float, DEPTH * CHANNELS * sheet);
    TAKE(j->slope, float, CHANNELS * sheet);
    TAKE(j->sent, float, RETURNED * sheet);
    TAKE(j->seen, float, SEEN * sheet);
    TAKE(j->seen_slope, float, MAX(SEEN, OUTPUTS) * sheet);
    TAKE(j->fields_padded, float, COMPONENTS * j->field_sheets * j->field_stride);
    TAKE(j->gradients, vec, WEIGHTS * j->threads);
    TAKE(j->losses, double, j->threads);
    return at - memory;
}

static void fill(job *j, const long *sizes) {
    j->batch = sizes[0], j->sheets = sizes[1], j->targets_first = sizes[2], j->target_sheets = sizes[3], j->target_sites = sizes[4];
    j->field_first = sizes[5], j->field_sheets = sizes[6], j->field_count = sizes[7], j->start = sizes[8], j->count = sizes[9];
    j->stride = sizes[10], j->pitch = sizes[11], j->field_start = sizes[12], j->field_stride = sizes[13], j->wraps = sizes[14];
    j->threads = sizes[15];
}

long gradient_size(const long *sizes) {
    job j;
    fill(&j, sizes);
    return divide(&j, 0) + 64;
}

long job_size(void) { return sizeof(job); }

/* Make a job of arrays that must outlive it. memory: gradient_size bytes. */
void begin(job *j, const long *sizes, const int *field_source, const int *wrap, const float *valid, const float *counted,
           const int *inside, const float *fields, const float *targets, const float *importance, const float *w, char *memory) {
    fill(j, sizes);
    divide(j, (char *)UP((size_t)memory, 64));
    j->field_source = field_source, j->wrap = wrap, j->valid = valid, j->counted = counted, j->inside = inside;
    j->fields = fields, j->targets = targets, j->importance = importance, j->w = w;
    atomic_init(&j->waiting, 0), atomic_init(&j->round, 0);
    memset(j->gradients, 0, WEIGHTS * j->threads * sizeof(vec));
}

/* The loss, and its gradient by all weights, once all threads are done. */
double finish(const job *j, float *result) {
    double loss = 0.0;
    for (int n = 0; n < j->threads; n++) loss += j->losses[n];
    for (long n = 0; n < WEIGHTS; n++) {
        float sum = 0.0f;
        for (int t = 0; t < j->threads; t++)
            for (int lane = 0; lane < LANES; lane++) sum += j->gradients[t * WEIGHTS + n][lane];
        result[n] = sum;
    }
    return loss;
}

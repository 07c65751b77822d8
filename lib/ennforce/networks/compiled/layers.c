/* The order of work: forces of strips that stream through all layers, and gradients of whole tori, layer by layer.

   A sheet is what a lattice holds at one value of its first axis: a row in two dimensions, a plane in three; a chain is one sheet. It is
   stored as [channel][position], the positions of the inner axes in one run, with a halo. Some positions worked on lie in the halo: what
   they give is meaningless, finite, and never reaches a site that counts. */

#define MAX(x, y) ((x) > (y) ? (x) : (y))
#define UP(x, unit) (((x) + (unit) - 1) / (unit) * (unit))
#define LEVELS_HALO (READS ? 2 * BODY + REACH : BODY) /* of features around the forces that they give */
#define HALO (LEVELS_HALO + REACH)
#define FARTHEST MAX(SPREAD, REACH)
#if INNER == 1
#define COUNT UP(TILE + 2 * LEVELS_HALO, PAIR)
#define COLUMNS (COUNT - 2 * LEVELS_HALO)
#define PITCH 0L
#define START UP(FARTHEST, LANES)
#define FIELD_START (START - REACH)
#define FIELD_SITES (COUNT + 2 * REACH)
#define STRIDE (COUNT + 2 * START)
#else
#define COLUMNS TILE
#define PITCH (TILE + 2L * HALO)
#define COUNT UP((PITCH - 2 * REACH) * PITCH, PAIR)
#define FIELD_START UP(FARTHEST * (PITCH + 1), LANES)
#define FIELD_SITES (PITCH * PITCH)
#define START (FIELD_START + REACH * PITCH)
#define STRIDE UP(START + COUNT + FARTHEST * (PITCH + 1), LANES)
#endif

static inline const float *block_weights(const float *w, int l) { return w + W_BLOCKS + l * W_BLOCK; }

/* The numbers of one copy and group element among features or outputs. */
INLINE void pick(const pair *from, const int *bases, const int *steps, int numbers, int c, int h, pair *to) {
    for (int n = 0; n < numbers; n++) to[n] = from[bases[n] + c * steps[n] + h];
}
INLINE void put(const pair *from, const int *bases, const int *steps, int numbers, int c, int h, pair *to) {
    for (int n = 0; n < numbers; n++) to[bases[n] + c * steps[n] + h] = from[n];
}
INLINE void with_bias(const float *w, int c, pair *z) {
    for (int n = 0; n < GATED; n++)
        if (OUTPUT_BIAS[n] >= 0) z[n] = add(z[n], all(w[W_BIAS + OUTPUT_BIAS[n] * COPIES + c]));
}
INLINE void activate_all(const float *w, const pair *features, pair *active) {
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair x[NUMBERS], y[NUMBERS];
            pick(features, CHANNEL, CHANNEL_STEP, NUMBERS, c, h, x);
            activate(x, w + W_PRODUCTS + c * PRODUCT_WEIGHTS, y);
            put(y, CHANNEL, CHANNEL_STEP, NUMBERS, c, h, active);
        }
}
INLINE void load_all(const float *from, long stride, pair *to) {
    for (int n = 0; n < CHANNELS; n++) to[n] = load(from + n * stride);
}
INLINE void store_all(const pair *from, float *to, long stride) {
    for (int n = 0; n < CHANNELS; n++) store(to + n * stride, from[n]);
}

/* Features, and the activated ones that the first block looks at, of a pair of sites. */
INLINE void first(const float *w, const float *const *near, long field_stride, long field_pitch, long field_x, const float *seen,
                  long seen_stride, float *feature, float *active, long stride) {
    const float *at[NEAR];
    pair f[CHANNELS], a[CHANNELS];
    point_near(near, field_stride, field_pitch, field_x, at);
    embed(w, at, field_stride, seen, seen_stride, f);
    store_all(f, feature, stride);
    activate_all(block_weights(w, 0), f, a);
    store_all(a, active, stride);
}

/* A block at a pair of sites: new features, old ones and the gated convolution of the activated ones around, go to ``feature``, what the
   next block's activation makes of them to ``active``; of the last block to ``last`` instead. Each may be none. */
INLINE void step(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation, const float *old,
                 float *feature, float *active, const float *next, pair *last) {
    pair z[MIXED];
    convolve(w, rows, stride, pitch, x, dilation, z);
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair mixed[GATED], change[NUMBERS], new[NUMBERS], a[NUMBERS];
            pick(z, OUTPUT, OUTPUT_STEP, GATED, c, h, mixed);
            with_bias(w, c, mixed);
            gate(mixed, w, change);
            for (int n = 0; n < NUMBERS; n++) new[n] = add(load(old + (CHANNEL[n] + c * CHANNEL_STEP[n] + h) * stride), change[n]);
            if (active || (last && !TYPED)) activate(new, next + W_PRODUCTS + c * PRODUCT_WEIGHTS, a);
            for (int n = 0; n < NUMBERS; n++) {
                int channel = CHANNEL[n] + c * CHANNEL_STEP[n] + h;
                if (feature) store(feature + channel * stride, new[n]);
                if (active) store(active + channel * stride, a[n]);
                if (last) last[channel] = TYPED ? new[n] : a[n];
            }
        }
}

/* Slopes by features, from those by what an activation makes of them: down += activation'(features) times up. */
INLINE void activation_back(const float *w, const float *features, long stride, const pair *up, pair *down, vec *gradient) {
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair x[NUMBERS], dy[NUMBERS], dx[NUMBERS];
            for (int n = 0; n < NUMBERS; n++) x[n] = load(features + (CHANNEL[n] + c * CHANNEL_STEP[n] + h) * stride);
            pick(up, CHANNEL, CHANNEL_STEP, NUMBERS, c, h, dy);
            activate_adjoint(x, w + W_PRODUCTS + c * PRODUCT_WEIGHTS, dy, dx,
                             gradient ? gradient + W_PRODUCTS + c * PRODUCT_WEIGHTS : 0);
            for (int n = 0; n < NUMBERS; n++) {
                int channel = CHANNEL[n] + c * CHANNEL_STEP[n] + h;
                down[channel] = add(down[channel], dx[n]);
            }
        }
}

/* What a block's convolution sends back for slopes of its result at a pair of sites, and the gradient by its weights. */
INLINE void send(const float *w, const float *const *rows, long stride, long pitch, long x, long dilation, const float *slope,
                 long slope_stride, float *sent, vec *gradient) {
    pair z[MIXED], dz[MIXED];
    if (TYPED) convolve(w, rows, stride, pitch, x, dilation, z);
    for (int c = 0; c < COPIES; c++)
        for (int h = 0; h < GROUP; h++) {
            pair mixed[GATED], up[NUMBERS], back[GATED];
            for (int n = 0; n < NUMBERS; n++) up[n] = load(slope + (CHANNEL[n] + c * CHANNEL_STEP[n] + h) * slope_stride);
            if (TYPED) {
                pick(z, OUTPUT, OUTPUT_STEP, GATED, c, h, mixed);
                with_bias(w, c, mixed);
            }
            gate_adjoint(mixed, w, up, back, gradient);
            put(back, OUTPUT, OUTPUT_STEP, GATED, c, h, dz);
            if (gradient)
                for (int n = 0; n < GATED; n++)
                    if (OUTPUT_BIAS[n] >= 0) gradient[W_BIAS + OUTPUT_BIAS[n] * COPIES + c] += back[n].a + back[n].b;
        }
    convolve_back(w, rows, stride, pitch, x, dilation, dz, sent, slope_stride, gradient);
}


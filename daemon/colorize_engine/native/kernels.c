/* The functions in which every pixel of a photograph is touched. C99 without a library: nothing is allocated, nothing
 * is called, all sizes and pointers are checked by functions.py before they come here. What each computes is written
 * down, in torch or numpy, beside its caller; the tests compare the two.
 *
 * A pixel's result depends on the pixel alone, never on the rectangle in which it is asked for: no sum runs over
 * pixels, and no multiplication is contracted with an addition (-ffp-contract=off).
 */

#include <stddef.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

enum {
    STRIP = 256, /* columns treated at once: what lives of them stays in a core's first cache */
    LANES = 4,   /* runs of columns are computed in whole steps of so many, into what follows; see `across` */
    MOST = 3,    /* planes of a model */
};

static inline float least(float a, float b) { return a < b ? a : b; }
static inline float greatest(float a, float b) { return a > b ? a : b; }
static inline float within(float v, float low, float high) { return least(greatest(v, low), high); } /* NaN: low */
static inline float size_of(float v) { return v < 0.0f ? -v : v; }
static inline int smaller(int a, int b) { return a < b ? a : b; }
static inline int larger(int a, int b) { return a > b ? a : b; }

/* ------------------------------------------------------------------------------------------------ sRGB, encoded */

typedef struct {
    const float *levels; /* ENCODED + 2: 16-bit sRGB of linear light in even steps, the last one twice */
    int32_t steps;
} Curve;

/* NaN becomes 0, as does what is below it. */
static inline uint16_t encoded(const Curve *curve, float linear) {
    float place = within(linear, 0.0f, 1.0f) * (float)curve->steps;
    int step = (int)place;
    const float *level = curve->levels + step;
    return (uint16_t)(level[0] + (level[1] - level[0]) * (place - (float)step) + 0.5f);
}

/* Luminance: the sum of what is looked up for each channel, encoded. tables: one for each band, one after the other. */
#define LUMINANCE(name, type)                                                                                          \
    EXPORTED void name(const type *restrict values, int64_t count, int32_t bands, const float *restrict tables,       \
                       const Curve *curve, uint16_t *restrict out) {                                                  \
        const int levels = 1 << (8 * sizeof(type));                                                                    \
        const float *second = tables + levels, *third = second + levels;                                               \
        if (bands == 1)                                                                                                \
            for (int64_t i = 0; i < count; i++) out[i] = encoded(curve, tables[values[i]]);                            \
        else                                                                                                           \
            for (int64_t i = 0; i < count; i++)                                                                        \
                out[i] = encoded(curve, tables[values[3 * i]] + second[values[3 * i + 1]] + third[values[3 * i + 2]]); \
    }
LUMINANCE(luminance_u8, uint8_t)
LUMINANCE(luminance_u16, uint16_t)

/* ------------------------------------------------------------------------------------------------------- the lift */

typedef struct {
    int32_t x, y, width, height; /* the part of the photograph that it covers */
    int32_t rows, columns, planes;
    const float *cells;            /* (rows, columns, 2 * planes): for each plane its slope and its offset */
    const int32_t *top, *left;     /* the cell before each of its rows (height,) and columns (width,) */
    const float *down, *beside;    /* and the way to the next one; `beside` has LANES more */
} Model;

typedef struct {
    const float *lightness; /* L of each gray level */
    const float *border;    /* (BORDER_ROWS, BORDER_COLUMNS + 1): largest |a| + |b| of a lightness and a hue */
    const uint8_t *bytes;   /* 8-bit sRGB of linear light, ENCODE_STEPS + 1 */
    Curve curve;
    float x[3], z[3]; /* red, green and blue of X - Y and of Z - Y */
} Colours;

enum { RGB8, RGB16, AB16 };

#define BORDER_ROWS 257
#define BORDER_COLUMNS 512
#define ENCODE_STEPS 65536
#define DELTA (6.0f / 29.0f)
#define TANGENT (3.0f * DELTA * DELTA)
#define TOLERANCE 1e-6f
#define CHROMA_LIMIT 160.0f
#define TINY 1e-12f
#define AB16_SCALE 256.0f

/* Slope and offset of every plane at one cell, between its row and the next. */
static void at_cell(const Model *model, int row, int next, float way, int column, float *out) {
    const int count = 2 * model->planes;
    const float *above = model->cells + ((size_t)row * model->columns + column) * count;
    const float *below = model->cells + ((size_t)next * model->columns + column) * count;
    for (int i = 0; i < count; i++) out[i] = above[i] + (below[i] - above[i]) * way;
}

/* One plane over columns that lie between the same two cells. Rounded up to whole LANES: what is written too much is
 * overwritten by the next columns, or lies in the buffers' slack. */
static inline void across(const float *here, const float *there, const float *restrict beside,
                          const float *restrict lightness, int count, float *restrict out) {
    const float slope = here[0], rise = there[0] - here[0], offset = here[1], shift = there[1] - here[1];
    for (int start = 0; start < count; start += LANES)
        for (int i = start; i < start + LANES; i++)
            out[i] = (slope + rise * beside[i]) * lightness[i] + (offset + shift * beside[i]);
}

/* Chroma planes of row y, columns x .. x + count of what the model covers, at these lightnesses. */
static void lift(const Model *model, int y, int x, int count, const float *lightness, float out[][STRIP + LANES]) {
    const int row = model->top[y], next = smaller(row + 1, model->rows - 1);
    const float way = model->down[y];
    float cells[2][2 * MOST];
    int known = -1, current = 0; /* the cell whose coefficients are in cells[current ^ 1] */
    for (int start = 0; start < count;) {
        const int cell = model->left[x + start];
        int stop = start + 1;
        while (stop < count && model->left[x + stop] == cell) stop++;
        if (cell == known) current ^= 1;
        else at_cell(model, row, next, way, cell, cells[current]);
        known = smaller(cell + 1, model->columns - 1);
        at_cell(model, row, next, way, known, cells[current ^ 1]);
        for (int plane = 0; plane < model->planes; plane++)
            across(cells[current] + 2 * plane, cells[current ^ 1] + 2 * plane, model->beside + x + start,
                   lightness + start, stop - start, out[plane] + start);
        start = stop;
    }
}

/* Lays a detail over the chroma of row y, columns x .. x + count of the photograph, as far as it reaches there. */
static void overlay(const Model *detail, int y, int x, int count, const float *lightness, float *a, float *b) {
    const int first = larger(x, detail->x), last = smaller(x + count, detail->x + detail->width);
    if (y < detail->y || y >= detail->y + detail->height || first >= last) return;
    float lifted[MOST][STRIP + LANES];
    const int skip = first - x;
    lift(detail, y - detail->y, first - detail->x, last - first, lightness + skip, lifted);
    for (int i = 0; i < last - first; i++) {
        const float share = within(lifted[2][i], 0.0f, 1.0f);
        a[skip + i] += (lifted[0][i] - a[skip + i]) * share;
        b[skip + i] += (lifted[1][i] - b[skip + i]) * share;
    }
}

/* ------------------------------------------------------------------------------------------------------ the gamut */

static inline float cube(float f) {
    const float upper = greatest(f, DELTA);
    return upper * upper * upper + (f - upper) * TANGENT;
}

static inline float f_of(float lightness) { return (lightness + 16.0f) * (1.0f / 116.0f); }

/* Linear channels of colours, exactly Y where a and b are 0; and which of them lie outside the gamut, NaN among them. */
static int channels(const Colours *colours, int count, const float *restrict lightness, const float *restrict a,
                     const float *restrict b, float linear[3][STRIP], int32_t *restrict outside) {
    int any = 0;
    const float rx = colours->x[0], gx = colours->x[1], bx = colours->x[2];
    const float rz = colours->z[0], gz = colours->z[1], bz = colours->z[2];
    for (int i = 0; i < count; i++) {
        const float f = f_of(lightness[i]), y = cube(f);
        const float x = cube(f + a[i] * (1.0f / 500.0f)) - y, z = cube(f - b[i] * (1.0f / 200.0f)) - y;
        const float r = y + rx * x + rz * z, g = y + gx * x + gz * z, u = y + bx * x + bz * z;
        const float lowest = least(least(r, g), u), highest = greatest(greatest(r, g), u);
        linear[0][i] = r, linear[1][i] = g, linear[2][i] = u;
        outside[i] = !(least(lowest, 1.0f - highest) >= -TOLERANCE);
        any |= outside[i];
    }
    return any;
}

static float border(const float *table, float lightness, float hue) {
    const float row = lightness * ((BORDER_ROWS - 1) / 100.0f), column = hue * (BORDER_COLUMNS / 4.0f);
    const int top = smaller((int)row, BORDER_ROWS - 2), left = smaller((int)column, BORDER_COLUMNS - 1);
    const float *upper = table + top * (BORDER_COLUMNS + 1) + left, *lower = upper + BORDER_COLUMNS + 1;
    const float right = column - (float)left, down = row - (float)top;
    const float above = upper[0] + (upper[1] - upper[0]) * right, below = lower[0] + (lower[1] - lower[0]) * right;
    return above + (below - above) * down;
}

/* Chroma within CHROMA_LIMIT; what is no number becomes gray. */
static void limit(float *a, float *b) {
    const float huge = size_of(*a) + size_of(*b);
    if (!(huge < __builtin_inff())) {
        *a = *b = 0.0f;
        return;
    }
    if (huge > 1e6f) *a *= 1e6f / huge, *b *= 1e6f / huge;
    const float length = __builtin_sqrtf(*a * *a + *b * *b);
    if (length > CHROMA_LIMIT) *a *= CHROMA_LIMIT / length, *b *= CHROMA_LIMIT / length;
}

/* Pulls a colour towards gray until it is inside: by the table, and what that leaves in linear light, where the way to
 * neutral is straight. */
static void pull(const Colours *colours, float lightness, float *a, float *b, float out[3][STRIP], int place) {
    const float f = f_of(lightness), y = cube(f);
    limit(a, b);
    const float length = greatest(size_of(*a) + size_of(*b), TINY), cosine = *a / length;
    const float hue = *b >= 0.0f ? 1.0f - cosine : 3.0f + cosine;
    const float scale = least(border(colours->border, lightness, hue) / length, 1.0f);
    const float x = cube(f + *a * scale * (1.0f / 500.0f)) - y, z = cube(f - *b * scale * (1.0f / 200.0f)) - y;
    float linear[3];
    for (int i = 0; i < 3; i++) linear[i] = y + colours->x[i] * x + colours->z[i] * z;
    const float below = y - least(least(linear[0], linear[1]), linear[2]);
    const float above = greatest(greatest(linear[0], linear[1]), linear[2]) - y;
    const float room = within(least(y / greatest(below, TINY), (1.0f - y) / greatest(above, TINY)), 0.0f, 1.0f);
    *a *= scale * room, *b *= scale * room;
    for (int i = 0; i < 3; i++) out[i][place] = y + (linear[i] - y) * room;
}

/* ----------------------------------------------------------------------------------------------------- rendering */

/* All but the last pixel are written four bytes at a time: the fourth is the next pixel's, which comes after. */
static void encode_bytes(const uint8_t *table, int count, float linear[3][STRIP], uint8_t *restrict out) {
    int32_t steps[3][STRIP];
    for (int channel = 0; channel < 3; channel++)
        for (int i = 0; i < count; i++)
            steps[channel][i] = (int32_t)within(linear[channel][i] * ENCODE_STEPS, 0.0f, ENCODE_STEPS);
    for (int i = 0; i < count - 1; i++) {
        const uint32_t pixel = table[steps[0][i]] | table[steps[1][i]] << 8 | table[steps[2][i]] << 16;
        __builtin_memcpy(out + 3 * i, &pixel, 4);
    }
    for (int channel = 0; channel < 3; channel++) out[3 * (count - 1) + channel] = table[steps[channel][count - 1]];
}

static void encode_words(const Curve *curve, int count, float linear[3][STRIP], uint16_t *restrict out) {
    int32_t steps[3][STRIP];
    float ways[3][STRIP];
    for (int channel = 0; channel < 3; channel++)
        for (int i = 0; i < count; i++) {
            const float place = within(linear[channel][i], 0.0f, 1.0f) * (float)curve->steps;
            steps[channel][i] = (int32_t)place;
            ways[channel][i] = place - (float)steps[channel][i];
        }
    for (int channel = 0; channel < 3; channel++)
        for (int i = 0; i < count; i++) {
            const float *level = curve->levels + steps[channel][i];
            out[3 * i + channel] = (uint16_t)(level[0] + (level[1] - level[0]) * ways[channel][i] + 0.5f);
        }
}

/* Rounded to even, as the reference does: adding and taking away 1.5 * 2^23 leaves a whole number. */
static void pack_chroma(int count, const float *restrict plane, int16_t *restrict out) {
    for (int i = 0; i < count; i++) {
        const float whole = within(plane[i] * AB16_SCALE, -32768.0f, 32767.0f) + 12582912.0f;
        out[2 * i] = (int16_t)(whole - 12582912.0f);
    }
}

/* One row of at most STRIP pixels. */
static void render_row(const Colours *colours, const Model *model, const Model *details, int count_details, int y, int x,
                       int count, const float *lightness, int layout, void *out) {
    float ab[MOST][STRIP + LANES], linear[3][STRIP];
    int32_t outside[STRIP];
    lift(model, y, x, count, lightness, ab);
    for (int i = 0; i < count_details; i++) overlay(details + i, y, x, count, lightness, ab[0], ab[1]);
    if (channels(colours, count, lightness, ab[0], ab[1], linear, outside))
        for (int i = 0; i < count; i++)
            if (outside[i]) pull(colours, lightness[i], ab[0] + i, ab[1] + i, linear, i);
    if (layout == RGB8) {
        encode_bytes(colours->bytes, count, linear, out);
    } else if (layout == RGB16) {
        encode_words(&colours->curve, count, linear, out);
    } else {
        pack_chroma(count, ab[0], (int16_t *)out);
        pack_chroma(count, ab[1], (int16_t *)out + 1);
    }
}

/* The rectangle (x, y, width, height) of the photograph, into out (height, width, channels). gray: all of
 * its pixels, of 1 byte each, or 2 where they are deep. */
EXPORTED void render(const Colours *colours, const Model *model, const Model *details, int32_t count_details,
                     const void *gray, int32_t deep, int32_t x, int32_t y, int32_t width, int32_t height,
                     int32_t layout, void *out) {
    const size_t pixel = layout == RGB8 ? 3 : layout == RGB16 ? 6 : 4;
    float lightness[STRIP + LANES];
    for (int i = 0; i < STRIP + LANES; i++) lightness[i] = 0.0f; /* the slack is read, and its result overwritten */
    for (int start = 0; start < width; start += STRIP)
        for (int line = 0; line < height; line++) {
            const int count = smaller(STRIP, width - start);
            const int64_t from = (int64_t)(y + line) * model->width + x + start;
            if (deep)
                for (int i = 0; i < count; i++) lightness[i] = colours->lightness[((const uint16_t *)gray)[from + i]];
            else
                for (int i = 0; i < count; i++) lightness[i] = colours->lightness[((const uint8_t *)gray)[from + i]];
            render_row(colours, model, details, count_details, y + line, x + start, count, lightness, layout,
                       (char *)out + ((size_t)line * width + start) * pixel);
        }
}

/* ------------------------------------------------------------------------------------------------------ averaging */

enum { WIDE = 1024, HIGH = 32768 }; /* columns at once, and rows of which 32 bits hold the sum */

/* Sums over the cells (rows, columns) of a plane; tops and lefts: where each cell begins, and where the last ends. */
#define CELL_SUMS(name, type)                                                                                          \
    EXPORTED void name(const type *plane, int32_t rows, int32_t columns, const int32_t *tops, const int32_t *lefts,    \
                       uint64_t *restrict out) {                                                                       \
        const int width = lefts[columns];                                                                              \
        for (int row = 0; row < rows; row++)                                                                           \
            for (int top = tops[row]; top < tops[row + 1]; top += HIGH)                                                \
                for (int left = 0, column = 0; left < width; left += WIDE) {                                           \
                    const int bottom = smaller(top + HIGH, tops[row + 1]), count = smaller(WIDE, width - left);        \
                    uint32_t sums[WIDE];                                                                               \
                    for (int x = 0; x < count; x++) sums[x] = 0;                                                       \
                    for (int y = top; y < bottom; y++) {                                                               \
                        const type *line = plane + (int64_t)y * width + left;                                          \
                        for (int x = 0; x < count; x++) sums[x] += line[x];                                            \
                    }                                                                                                  \
                    for (int x = 0; x < count; x++) {                                                                  \
                        while (left + x >= lefts[column + 1]) column++;                                                \
                        out[(size_t)row * columns + column] += sums[x];                                                \
                    }                                                                                                  \
                }                                                                                                      \
    }
CELL_SUMS(cell_sums_u8, uint8_t)
CELL_SUMS(cell_sums_u16, uint16_t)

/* ---------------------------------------------------------------------------------------------------------- hints */

enum { WORDS = 16 }; /* pixels that are passed over at once where nothing is painted on them */

static inline uint32_t word(const uint8_t *pixel) {
    uint32_t found;
    __builtin_memcpy(&found, pixel, 4);
    return found;
}

/* The first painted pixel of a line from `start` on, or width. Alpha is the top byte of a pixel read as a word: both
 * processors are little-endian. */
static int first_painted(const uint8_t *line, int start, int width) {
    for (; start + WORDS <= width; start += WORDS) {
        uint32_t any = 0;
        for (int i = 0; i < WORDS; i++) any |= word(line + 4 * (start + i));
        if (any >> 24) break;
    }
    while (start < width && !line[4 * start + 3]) start++;
    return start;
}

/* Adds a tile's pixels, straight RGBA u8 in rows `stride` bytes apart, to the cells that they lie in: linear red,
 * green and blue times alpha, and alpha, 0..1; sums (.., columns, 4). rows and cells: the cell of each of its rows
 * (height,), and of each column (width,). */
EXPORTED void add_hints(const uint8_t *pixels, int64_t stride, int32_t width, int32_t height, const int32_t *rows,
                        const int32_t *cells, int32_t columns, const float *linear, double *sums) {
    for (int y = 0; y < height; y++) {
        const uint8_t *line = pixels + y * stride;
        double *row = sums + (size_t)rows[y] * columns * 4;
        for (int x = first_painted(line, 0, width); x < width; x = first_painted(line, x, width)) {
            const int cell = cells[x];
            float light[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            for (; x < width && cells[x] == cell && line[4 * x + 3]; x++) {
                const uint8_t *pixel = line + 4 * x;
                const float alpha = (float)pixel[3] * (1.0f / 255.0f);
                for (int i = 0; i < 3; i++) light[i] += linear[pixel[i]] * alpha;
                light[3] += alpha;
            }
            for (int i = 0; i < 4; i++) row[4 * (size_t)cell + i] += light[i];
        }
    }
}

/* Cells, text and clipping. */
#include "tui/canvas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static const struct {
	uint32_t code;
	const char *ascii;
} in_ascii[] = {
	{0x00b7, "|"},  {0x2265, ">="}, {0x2264, "<="}, {0x00d7, "x"}, {0x2026, "~"},  {0x00b2, "^2"},
	{0x2013, "-"},  {0x2014, "-"},  {0x2191, "^"},  {0x2193, "v"}, {0x2190, "<-"}, {0x2192, "->"},
	{0x2500, "-"},  {0x2502, "|"},  {0x25cf, "@"},  {0x25c6, "+"}, {0x2591, ":"},  {0x25b8, ">"},
	{0x2508, "-"},  {0x254c, "="},
};

int gns_canvas_init(struct gns_canvas *canvas, int width, int height, bool ascii)
{
	*canvas = (struct gns_canvas){.ascii = ascii};
	if (width < 1 || height < 1 || width > GNS_CANVAS_MAX || height > GNS_CANVAS_MAX)
		return -EINVAL;
	canvas->cells = calloc((size_t)width * (size_t)height, sizeof *canvas->cells);
	if (!canvas->cells)
		return -ENOMEM;
	canvas->width = width;
	canvas->height = height;
	gns_canvas_clear(canvas);
	return 0;
}

void gns_canvas_free(struct gns_canvas *canvas)
{
	free(canvas->cells);
	*canvas = (struct gns_canvas){0};
}

void gns_canvas_clear(struct gns_canvas *canvas)
{
	static const struct gns_cell blank = {.glyph = " "};
	for (size_t i = 0; i < (size_t)canvas->width * (size_t)canvas->height; i++)
		canvas->cells[i] = blank;
}

struct gns_cell *gns_canvas_at(const struct gns_canvas *canvas, int x, int y)
{
	if (x < 0 || y < 0 || x >= canvas->width || y >= canvas->height)
		return NULL;
	return &canvas->cells[(size_t)y * (size_t)canvas->width + (size_t)x];
}

static void blank_half(const struct gns_canvas *canvas, int x, int y)
{
	struct gns_cell *cell = gns_canvas_at(canvas, x, y);
	if (cell)
		*cell = (struct gns_cell){.glyph = " ", .role = cell->role};
}

void gns_canvas_put(struct gns_canvas *canvas, int x, int y, const char *glyph, enum gns_role role)
{
	struct gns_cell *cell = gns_canvas_at(canvas, x, y);
	if (!cell)
		return;
	if (cell->flags & GNS_CELL_TAIL)
		blank_half(canvas, x - 1, y);
	struct gns_cell *next = gns_canvas_at(canvas, x + 1, y);
	if (next && (next->flags & GNS_CELL_TAIL))
		blank_half(canvas, x + 1, y);
	*cell = (struct gns_cell){.role = (uint8_t)role};
	snprintf(cell->glyph, sizeof cell->glyph, "%s", glyph);
}

void gns_canvas_fill(struct gns_canvas *canvas, struct gns_rect rect, const char *glyph, enum gns_role role)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = rect.x; x < rect.x + rect.w; x++)
			gns_canvas_put(canvas, x, y, glyph, role);
}

void gns_canvas_flag(struct gns_canvas *canvas, struct gns_rect rect, unsigned flags)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = rect.x; x < rect.x + rect.w; x++) {
			struct gns_cell *cell = gns_canvas_at(canvas, x, y);
			if (cell)
				cell->flags |= (uint8_t)flags;
		}
}

/* One character of valid UTF-8, or U+FFFD and one byte. Returns the bytes read. */
static size_t decode(const char *text, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t need = s[0] < 0x80 ? 0 : s[0] >= 0xc2 && s[0] < 0xe0 ? 1 : (s[0] & 0xf0) == 0xe0 ? 2 : s[0] >= 0xf0 && s[0] < 0xf5 ? 3 : 9;
	*code = need == 0 ? s[0] : need == 1 ? s[0] & 0x1fu : need == 2 ? s[0] & 0xfu : s[0] & 0x7u;
	for (size_t i = 1; need != 9 && i <= need; i++) {
		if ((s[i] & 0xc0) != 0x80)
			need = 9;
		else
			*code = *code << 6 | (s[i] & 0x3fu);
	}
	if (need == 9) {
		*code = 0xfffd;
		return 1;
	}
	return need + 1;
}

struct piece {
	char text[8];
	size_t bytes; /* of the source */
	int columns;
};

/* The next character as this canvas would draw it. */
static struct piece next_piece(const struct gns_canvas *canvas, const char *text)
{
	struct piece piece = {.text = "?", .columns = 1};
	uint32_t code;
	piece.bytes = decode(text, &code);
	if (code >= 0x20 && code < 0x7f) {
		piece.text[0] = (char)code;
		return piece;
	}
	if (canvas->ascii) {
		for (size_t i = 0; i < sizeof in_ascii / sizeof in_ascii[0]; i++)
			if (in_ascii[i].code == code) {
				snprintf(piece.text, sizeof piece.text, "%s", in_ascii[i].ascii);
				piece.columns = (int)strlen(piece.text);
			}
		return piece;
	}
	int columns = code == 0xfffd ? -1 : wcwidth((wchar_t)code);
	if (columns < 0)
		return piece;
	piece.columns = columns;
	memcpy(piece.text, text, piece.bytes);
	piece.text[piece.bytes] = 0;
	return piece;
}

int gns_canvas_columns(const struct gns_canvas *canvas, const char *text)
{
	int columns = 0;
	while (*text) {
		struct piece piece = next_piece(canvas, text);
		columns += piece.columns;
		text += piece.bytes;
	}
	return columns;
}

static void put_piece(struct gns_canvas *canvas, int x, int y, enum gns_role role, const struct piece *piece)
{
	if (canvas->ascii) {
		for (int i = 0; i < piece->columns; i++)
			gns_canvas_put(canvas, x + i, y, (char[]){piece->text[i], 0}, role);
		return;
	}
	gns_canvas_put(canvas, x, y, piece->text, role);
	if (piece->columns == 2) {
		gns_canvas_put(canvas, x + 1, y, "", role);
		struct gns_cell *tail = gns_canvas_at(canvas, x + 1, y);
		struct gns_cell *head = gns_canvas_at(canvas, x, y);
		if (tail && head) {
			memcpy(head->glyph, piece->text, sizeof head->glyph);
			tail->flags = GNS_CELL_TAIL;
		} else if (head) {
			snprintf(head->glyph, sizeof head->glyph, "?");
		}
	}
}

/* Draws `bytes` bytes of text from column x; no clipping but the canvas's own. */
static int put_run(struct gns_canvas *canvas, int x, int y, enum gns_role role, const char *text, size_t bytes)
{
	int column = x;
	const char *end = text + bytes;
	while (text < end) {
		struct piece piece = next_piece(canvas, text);
		if (piece.columns > 0)
			put_piece(canvas, column, y, role, &piece);
		column += piece.columns;
		text += piece.bytes;
	}
	return column - x;
}

/* Bytes of the longest start of text that takes at most max columns. */
static size_t fitting(const struct gns_canvas *canvas, const char *text, int max)
{
	size_t bytes = 0;
	int columns = 0;
	while (text[bytes]) {
		struct piece piece = next_piece(canvas, text + bytes);
		if (columns + piece.columns > max)
			break;
		columns += piece.columns;
		bytes += piece.bytes;
	}
	return bytes;
}

int gns_canvas_text(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *text)
{
	if (max > canvas->width - x)
		max = canvas->width - x;
	if (max < 1)
		return 0;
	size_t bytes = fitting(canvas, text, max);
	if (!text[bytes])
		return put_run(canvas, x, y, role, text, bytes);
	int columns = put_run(canvas, x, y, role, text, fitting(canvas, text, max - 1));
	return columns + put_run(canvas, x + columns, y, role, "…", strlen("…"));
}

int gns_canvas_path(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *text)
{
	if (max > canvas->width - x)
		max = canvas->width - x;
	if (max < 3 || !text[fitting(canvas, text, max)])
		return gns_canvas_text(canvas, x, y, max, role, text);
	int before = max < 18 ? max * 2 / 3 : (max - 1) / 2; /* where there is little room, what tells blocks apart */
	int columns = put_run(canvas, x, y, role, text, fitting(canvas, text, before));
	columns += put_run(canvas, x + columns, y, role, "…", strlen("…"));
	while (text[fitting(canvas, text, max - columns)])
		text += next_piece(canvas, text).bytes;
	return columns + put_run(canvas, x + columns, y, role, text, strlen(text));
}

int gns_canvas_printf(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return gns_canvas_text(canvas, x, y, max, role, text);
}

int gns_canvas_right(struct gns_canvas *canvas, int x, int y, int max, enum gns_role role, const char *text)
{
	int columns = gns_canvas_columns(canvas, text);
	int start = columns < max ? x + max - columns : x;
	gns_canvas_text(canvas, start, y, x + max - start, role, text);
	return start;
}

int gns_canvas_wrap(struct gns_canvas *canvas, struct gns_rect rect, enum gns_role role, const char *text)
{
	int line = 0;
	while (*text && line < rect.h && rect.w > 0) {
		size_t bytes = fitting(canvas, text, rect.w);
		if (!text[bytes] || line == rect.h - 1) {
			gns_canvas_text(canvas, rect.x, rect.y + line, rect.w, role, text);
			return line + 1;
		}
		size_t cut = bytes;
		while (cut > 0 && text[cut] != ' ')
			cut--;
		if (cut == 0)
			cut = bytes ? bytes : next_piece(canvas, text).bytes;
		put_run(canvas, rect.x, rect.y + line, role, text, cut);
		text += cut;
		while (*text == ' ')
			text++;
		line++;
	}
	return line;
}

void gns_canvas_copy(struct gns_canvas *canvas, struct gns_rect to, const struct gns_canvas *page, int row)
{
	for (int y = 0; y < to.h && row + y < page->height; y++)
		for (int x = 0; x < to.w && x < page->width; x++) {
			struct gns_cell *cell = gns_canvas_at(canvas, to.x + x, to.y + y);
			if (cell)
				*cell = *gns_canvas_at(page, x, row + y);
		}
}

char *gns_canvas_dump(const struct gns_canvas *canvas)
{
	size_t size = (size_t)canvas->height * ((size_t)canvas->width * sizeof canvas->cells->glyph + 1) + 1;
	char *out = malloc(size), *at = out;
	if (!out)
		return NULL;
	for (int y = 0; y < canvas->height; y++) {
		char *line = at;
		for (int x = 0; x < canvas->width; x++) {
			size_t length = strlen(gns_canvas_at(canvas, x, y)->glyph);
			memcpy(at, gns_canvas_at(canvas, x, y)->glyph, length);
			at += length;
		}
		while (at > line && at[-1] == ' ')
			at--;
		*at++ = '\n';
	}
	*at = 0;
	return out;
}

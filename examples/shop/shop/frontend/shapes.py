"""What each kind of product looks like: a few strokes on a canvas of 400 by 400, its floor at y = 322.

A stroke is a piece of SVG whose colours are names (`main`, `dark`, `light`, `accent`, `ink`, `paper`) that `pictures`
fills in, so that one drawing serves every palette and pattern.
"""

from collections.abc import Mapping

Strokes = tuple[str, ...]


def fill(tone: str, path: str) -> str:
    """A filled outline."""
    return f'<path class="{tone}" d="{path}"/>'


def body(path: str) -> str:
    """The part of the product that carries its colour and, above it, its pattern."""
    return fill("main", path) + fill("pattern", path)


def line(tone: str, width: int, path: str) -> str:
    """An open line with round ends."""
    return f'<path class="line {tone}-line" stroke-width="{width}" d="{path}"/>'


def oval(tone: str, cx: int, cy: int, rx: int, ry: int) -> str:
    """An ellipse; with two equal radii a circle."""
    return f'<ellipse class="{tone}" cx="{cx}" cy="{cy}" rx="{rx}" ry="{ry}"/>'


def shine(path: str) -> str:
    """The light that falls on the product from the left."""
    return f'<path class="line shine" stroke-width="9" d="{path}"/>'


KITCHEN: Mapping[str, Strokes] = {
    "mug": (
        line("dark", 20, "M258 186h22a36 36 0 0 1 0 84h-26"),
        body("M118 150h148v126a46 46 0 0 1-46 46h-56a46 46 0 0 1-46-46z"),
        oval("light", 192, 150, 74, 17),
        oval("dark", 192, 153, 62, 11),
        line("paper", 6, "M170 122q-14-16 0-32t0-32M206 122q-14-16 0-32t0-32"),
        shine("M136 186v78"),
    ),
    "teapot": (
        line("dark", 18, "M276 190q58-6 52 40t-66 44"),
        fill("dark", "M130 262q-50-10-62-88l-18-8 8-12 40 8q8 52 50 64z"),
        body("M112 240a88 76 0 0 1 176 0q0 58-40 82h-96q-40-24-40-82z"),
        fill("light", "M140 176q60-36 120 0l-8 12q-52-26-104 0z"),
        oval("accent", 200, 150, 15, 13),
        shine("M134 232q2-28 22-40"),
    ),
    "bowl": (
        line("light", 10, "M246 196 306 96"),
        oval("light", 309, 92, 17, 11),
        fill("dark", "M160 306h80l10 16h-100z"),
        body("M92 204h216q0 104-84 108h-48q-84-4-84-108z"),
        oval("light", 200, 204, 108, 24),
        oval("dark", 200, 207, 94, 17),
        oval("accent", 200, 207, 70, 11),
        shine("M114 234q8 36 32 54"),
    ),
    "bottle": (
        fill("dark", "M178 78h44v26h-44z"),
        body("M182 102h36v40q0 18 20 32 16 12 16 36v88q0 24-24 24h-60q-24 0-24-24v-88q0-24 16-36 20-14 20-32z"),
        fill("paper", "M146 224h108v56h-108z"),
        line("main", 5, "M166 244h68M174 260h52"),
        shine("M162 206v98"),
    ),
    "jar": (
        body("M132 150q-14 8-14 28v118q0 26 26 26h112q26 0 26-26v-118q0-20-14-28z"),
        fill("dark", "M134 110q0-10 10-10h112q10 0 10 10v34q0 8-8 8h-116q-8 0-8-8z"),
        line("light", 4, "M140 124h120"),
        fill("paper", "M152 206q48-16 96 0v66q-48 14-96 0z"),
        oval("accent", 200, 230, 15, 15),
        line("main", 5, "M176 260h48"),
        shine("M134 190v96"),
    ),
    "board": (
        body("M126 118q0-16 16-16h38v-24q0-22 20-22t20 22v24h38q16 0 16 16v186q0 18-18 18h-112q-18 0-18-18z"),
        oval("dark", 200, 82, 8, 8),
        line("dark", 3, "M150 150q30 40 4 84t10 76M184 140q22 60 4 100t6 72M226 136q-14 60 8 96t-6 80"),
        oval("light", 230, 210, 26, 26),
        oval("accent", 230, 210, 20, 20),
        line("light", 4, "M230 190v40M210 210h40M216 196l28 28M244 196l-28 28"),
    ),
}

HOME: Mapping[str, Strokes] = {
    "vase": (
        line("leaf", 6, "M196 136q-10-50-52-78M202 136q4-60 2-94M206 136q16-40 54-62"),
        oval("accent", 140, 54, 20, 20),
        oval("light", 204, 40, 23, 23),
        oval("accent", 264, 70, 18, 18),
        oval("dark", 204, 40, 8, 8),
        oval("paper", 140, 54, 7, 7),
        oval("paper", 264, 70, 6, 6),
        body("M172 130h56v26q0 14 22 34 26 26 26 62 0 46-34 70h-84q-34-24-34-70 0-36 26-62 22-20 22-34z"),
        oval("dark", 200, 131, 28, 8),
        shine("M146 232q-4 34 8 56"),
    ),
    "lamp": (
        fill("glow", "M144 190 80 322h240l-64-132z"),
        line("dark", 10, "M200 196v116"),
        fill("dark", "M146 322q0-20 54-20t54 20z"),
        body("M154 78h92l46 112q2 8-8 8h-168q-10 0-8-8z"),
        line("light", 5, "M120 186h160"),
        line("accent", 4, "M236 200v34"),
        oval("accent", 236, 238, 6, 6),
        shine("M160 98l-30 74"),
    ),
    "candle": (
        oval("glow", 200, 116, 58, 62),
        fill("flame", "M200 70q26 34 16 56a17 17 0 0 1-32 0q-8-22 16-56z"),
        fill("paper", "M200 100q10 16 5 27a6 6 0 0 1-10 0q-5-11 5-27z"),
        line("ink", 5, "M200 140v22"),
        body("M138 166q0-8 8-8h108q8 0 8 8v132q0 24-24 24h-76q-24 0-24-24z"),
        oval("light", 200, 162, 61, 13),
        fill("paper", "M156 222h88v58h-88z"),
        line("dark", 4, "M172 242h56M180 260h40"),
        shine("M150 190v84"),
    ),
    "cushion": (
        body(
            "M88 142q-16-40 24-32 88 18 176 0 40-8 24 32-22 60 0 124 16 44-24 34-88-18-176 0-40 10-24-34 22-64 0-124z"
        ),
        line("dark", 4, "M118 150q-12 56 0 108M282 150q12 56 0 108"),
        oval("accent", 200, 204, 13, 13),
        line("dark", 4, "M200 190q-4-30-34-50M200 190q4-30 34-50M200 218q-4 30-34 50M200 218q4 30 34 50"),
        shine("M124 138q36 8 66 8"),
    ),
    "clock": (
        fill("dark", "M142 300l-18 22h22l14-14zM258 300l18 22h-22l-14-14z"),
        oval("main", 200, 204, 112, 112),
        oval("pattern", 200, 204, 112, 112),
        oval("paper", 200, 204, 84, 84),
        line("ink", 6, "M200 132v10M200 266v10M128 204h10M262 204h10"),
        line("ink", 8, "M200 204v-48"),
        line("accent", 7, "M200 204l40 22"),
        oval("ink", 200, 204, 9, 9),
        shine("M112 172q12-32 40-50"),
    ),
    "blanket": (
        fill("dark", "M92 256q0-22 24-22h168q24 0 24 22v42q0 24-24 24h-168q-24 0-24-24z"),
        body("M92 212q0-22 24-22h168q24 0 24 22v24q0 22-24 22h-168q-24 0-24-22z"),
        fill("light", "M92 162q0-22 24-22h168q24 0 24 22v22q0 22-24 22h-168q-24 0-24-22z"),
        line("accent", 6, "M150 142v62M164 142v62"),
        line("light", 5, "M112 276h120M112 292h90"),
        line("paper", 5, "M252 258v40M266 258v44M280 258v38"),
        shine("M114 162q4-8 14-8"),
    ),
}

WEAR: Mapping[str, Strokes] = {
    "scarf": (
        fill("dark", "M222 186l34 130h-52l-24-122z"),
        body("M142 186h56l12 122h-64z"),
        line("light", 5, "M150 310v18M164 310v18M178 310v18M192 310v18M206 308v18M218 318v14M232 318v14M246 318v14"),
        body("M112 128q88-50 176 0 14 8 12 28-2 26-20 32-80 30-160 0-18-6-20-32-2-20 12-28z"),
        fill("dark", "M134 138q66-32 132 0-66 26-132 0z"),
        shine("M118 156q4 16 18 20"),
    ),
    "hat": (
        body("M120 230q-2-124 80-124t80 124z"),
        fill("accent", "M118 206q82 30 164 0l2 30q-84 26-168 0z"),
        fill(
            "dark",
            "M56 246q60-40 144-40t144 40q-40 46-144 46t-144-46zm62-16q82 26 164 0-4-12-10-12-72 20-144 0-6 0-10 12z",
        ),
        fill("dark", "M56 246q72 30 144 30t144-30q-30 48-144 48t-144-48z"),
        shine("M146 178q6-36 30-50"),
    ),
    "tote": (
        line("dark", 12, "M154 170v-52q0-46 46-46t46 46v52"),
        body("M108 156h184l14 148q2 18-16 18h-180q-18 0-16-18z"),
        line("light", 4, "M112 174h176"),
        fill("paper", "M160 214h80v64h-80z"),
        fill("accent", "M160 278q20-34 40-14t40-18v32z"),
        oval("accent", 222, 232, 9, 9),
        shine("M124 196l-6 88"),
    ),
    "socks": (
        fill("dark", "M216 96h60v122q0 16 18 28l26 20q18 16 6 36t-40 8l-54-30q-16-10-16-30z"),
        body("M116 96h68v128q0 16 20 28l30 18q20 14 8 36t-42 10l-66-34q-18-10-18-32z"),
        fill("light", "M112 84h76v30h-76zM214 84h66v30h-66z"),
        fill("accent", "M236 262l8 8q16 16 4 36-10 16-36 10z"),
        shine("M132 132v88"),
    ),
    "umbrella": (
        line("ink", 7, "M200 78v-22M200 190v102q0 30-26 30t-26-24"),
        body("M72 202q6-122 128-124 122 2 128 124-22-26-43 0-21-26-42 0-21-26-43 0-22-26-43 0-21-26-42 0-21-26-43 0z"),
        line(
            "dark", 4, "M200 80q-62 30-85 122M200 80q-30 50-42 122M200 80v120M200 80q30 50 43 122M200 80q62 30 85 122"
        ),
        shine("M98 164q14-38 46-58"),
    ),
    "glasses": (
        line("dark", 11, "M88 196q-12-58 22-78M312 196q12-58-22-78"),
        oval("main", 138, 222, 58, 52),
        oval("main", 262, 222, 58, 52),
        oval("lens", 138, 222, 43, 38),
        oval("lens", 262, 222, 43, 38),
        line("main", 13, "M186 208q14-14 28 0"),
        line("paper", 6, "M116 222q2-18 20-24M240 222q2-18 20-24"),
        oval("accent", 90, 194, 5, 5),
        oval("accent", 310, 194, 5, 5),
    ),
}

PAPER: Mapping[str, Strokes] = {
    "notebook": (
        fill("paper", "M138 92h148q10 0 10 10v216h-158z"),
        body("M118 84h154q12 0 12 12v206q0 12-12 12h-154z"),
        fill("dark", "M104 84h26v230h-26q-8 0-8-8v-214q0-8 8-8z"),
        fill("paper", "M156 136h94q6 0 6 6v44q0 6-6 6h-94q-6 0-6-6v-44q0-6 6-6z"),
        line("ink", 4, "M168 156h70M168 172h46"),
        fill("accent", "M236 314v34l10-10 10 10v-34z"),
        shine("M142 214v76"),
    ),
    "pencils": (
        fill("accent", "M150 74l14 28v90h-28v-90z"),
        fill("paper", "M150 74l14 28h-28z"),
        fill("light", "M200 50l15 30v112h-30v-112z"),
        fill("paper", "M200 50l15 30h-30z"),
        fill("dark", "M252 82l14 28v82h-28v-82z"),
        fill("paper", "M252 82l14 28h-28z"),
        oval("ink", 150, 82, 4, 6),
        oval("ink", 200, 58, 4, 6),
        oval("ink", 252, 90, 4, 6),
        body("M120 178h160l-12 130q-2 14-16 14h-104q-14 0-16-14z"),
        oval("light", 200, 180, 80, 12),
        line("dark", 5, "M128 214h144"),
        shine("M142 232l6 64"),
    ),
    "card": (
        '<g transform="rotate(-8 200 210)">' + fill("dark", "M84 138h220v150h-220z") + "</g>",
        '<g transform="rotate(5 200 210)">' + fill("paper", "M92 130h224v154h-224z"),
        body("M104 142h120v130h-120z"),
        oval("accent", 188, 172, 14, 14),
        fill("light", "M104 272v-34q30-40 58-12t62-20v66z"),
        line("ink", 4, "M240 214h60M240 232h60M240 250h40"),
        fill("accent", "M270 146h32v36h-32z") + "</g>",
    ),
    "book": (
        fill("dark", "M96 288h214v22q0 12-12 12h-190q-12 0-12-12z"),
        fill("paper", "M112 292h198v18h-198z"),
        fill("accent", "M112 250h186v38h-186q-12 0-12-19t12-19z"),
        fill("paper", "M124 256h174v26h-174q-6 0-6-13t6-13z"),
        '<g transform="rotate(-7 200 160)">',
        fill("paper", "M142 76h130v164h-130z"),
        body("M128 68h134q8 0 8 8v156q0 8-8 8h-134z"),
        fill("dark", "M116 68h20v172h-20q-6 0-6-6v-160q0-6 6-6z"),
        oval("paper", 200, 134, 32, 32),
        fill("accent", "M172 146q14-22 28-10t28-14q4 22-12 36t-44-12z"),
        line("paper", 5, "M172 200h56") + "</g>",
    ),
}

GARDEN: Mapping[str, Strokes] = {
    "can": (
        line("dark", 13, "M150 184q4-82 74-78t54 88M262 216q64 0 62 44t-64 40"),
        fill("dark", "M142 252 80 168l-20 8 70 124z"),
        fill("accent", "M46 190l46-34 8 12-46 34z"),
        body("M132 186h140l10 118q2 18-16 18h-130q-18 0-16-18z"),
        oval("light", 202, 186, 70, 14),
        oval("dark", 202, 189, 58, 9),
        line("drop", 6, "M48 222v10M62 236v12M38 250v10"),
        shine("M152 216l-4 78"),
    ),
    "birdhouse": (
        line("ink", 12, "M200 284v46"),
        body("M126 172l74-70 74 70v118h-148z"),
        fill("dark", "M200 72l100 94-18 22-82-78-82 78-18-22z"),
        oval("ink", 200, 204, 29, 29),
        line("accent", 8, "M200 248v16"),
        fill("light", "M196 216q-4-26 22-28 14 0 18 12l14 4-14 6q-4 18-22 16z"),
        oval("ink", 222, 200, 3, 3),
        shine("M144 204v62"),
    ),
    "packet": (
        body("M116 92h168v218q0 12-12 12h-144q-12 0-12-12z"),
        fill("dark", "M116 74l14 10 14-10 14 10 14-10 14 10 14-10 14 10 14-10 14 10 14-10 14 10 14-10v44h-168z"),
        oval("paper", 200, 214, 62, 70),
        line("leaf", 6, "M200 268v-56M200 250q-26 0-30-22M200 242q24 0 28-20"),
        oval("accent", 200, 190, 24, 24),
        oval("light", 200, 190, 10, 10),
        line("light", 5, "M142 304h116"),
        shine("M134 140v130"),
    ),
    "plant": (
        line("leaf", 7, "M200 240v-70"),
        fill("leaf", "M198 214q-70 4-92-64 76-12 92 64z"),
        fill("leaf", "M202 206q6-74 88-78-2 74-88 78z"),
        fill("leafy", "M200 178q-44-50 0-116 44 66 0 116z"),
        fill("leafy", "M196 226q-50 22-84-16 46-24 84 16zM204 226q46 26 84-12-44-28-84 12z"),
        line("paper", 3, "M200 170v-76M188 204q-32-22-58-44M214 196q26-22 52-46"),
        body("M134 236h132l-14 74q-2 12-14 12h-76q-12 0-14-12z"),
        fill("dark", "M124 222h152q6 0 6 6v16q0 6-6 6h-152q-6 0-6-6v-16q0-6 6-6z"),
        shine("M152 264l6 40"),
    ),
    "lantern": (
        line("ink", 7, "M160 112q0-58 40-58t40 58"),
        fill("dark", "M142 128l24-28h68l24 28zM136 300h128v22h-128z"),
        body("M146 128h108v172h-108z"),
        fill("paper", "M162 146h76v138h-76z"),
        oval("glow", 200, 226, 38, 54),
        fill("flame", "M200 188q20 26 13 46a14 14 0 0 1-26 0q-7-20 13-46z"),
        fill("light", "M184 250h32v34h-32z"),
        line("dark", 4, "M200 146v30"),
        shine("M154 150v120"),
    ),
}

PLAY: Mapping[str, Strokes] = {
    "kite": (
        line("ink", 4, "M200 262q-40 24-10 46t-18 44"),
        fill("accent", "M176 286l-26-8 6 22zM180 286l24-14 0 22zM186 326l-26-4 10 20zM190 326l22-14 2 20z"),
        body("M200 56l94 96-94 116-94-116z"),
        fill("dark", "M200 56l94 96h-94z"),
        fill("light", "M106 152h94v116z"),
        line("ink", 4, "M200 56v212M106 152h188"),
        oval("accent", 200, 152, 12, 12),
    ),
    "boat": (
        line("ink", 7, "M204 66v186"),
        fill("accent", "M208 62l46 14-46 16z"),
        body("M214 96q76 46 84 132h-84z"),
        fill("light", "M194 110q-12 86-84 118h84z"),
        fill("dark", "M92 248h222q-14 62-58 62h-106q-44 0-58-62z"),
        line("paper", 7, "M104 266h198"),
        line("drop", 9, "M60 312q18-16 36 0t36 0 36 0 36 0 36 0 36 0 36 0 36 0"),
        line("drop", 6, "M96 332q16-12 32 0t32 0 32 0 32 0 32 0 32 0"),
    ),
    "top": (
        line("ink", 11, "M200 112v-42"),
        oval("accent", 200, 66, 15, 13),
        fill("dark", "M186 290h28l-14 36z"),
        body("M96 186q0-58 104-66 104 8 104 66-14 72-84 112h-40q-70-40-84-112z"),
        fill("light", "M98 198q102 46 204 0l-8 26q-94 42-188 0z"),
        line("accent", 6, "M126 250q74 30 148 0"),
        line("paper", 5, "M60 300q20 16 44 18M340 300q-20 16-44 18"),
        shine("M120 172q10-20 38-28"),
    ),
    "ball": (
        oval("main", 200, 208, 114, 114),
        oval("pattern", 200, 208, 114, 114),
        fill("light", "M200 94q-84 44-80 194-34-30-34-80 4-104 114-114z"),
        fill("accent", "M200 94q84 44 80 194 34-30 34-80-4-104-114-114z"),
        fill("dark", "M182 98l18-4 18 4-6 16h-24z"),
        shine("M112 190q6-30 30-50"),
    ),
    "drum": (
        line("ink", 9, "M96 84l86 72M304 84l-86 72"),
        oval("accent", 92, 80, 14, 14),
        oval("accent", 308, 80, 14, 14),
        body("M104 176v116q0 30 96 30t96-30v-116z"),
        line("paper", 5, "M106 188l32 118 32-104 30 120 30-120 32 104 32-118"),
        fill("dark", "M104 276q4 24 96 24t96-24v22q0 28-96 28t-96-28z"),
        oval("light", 200, 174, 98, 30),
        oval("paper", 200, 172, 84, 22),
    ),
}

SHAPES: Mapping[str, Strokes] = {**KITCHEN, **HOME, **WEAR, **PAPER, **GARDEN, **PLAY}

#!/usr/bin/env bash
# Trains chroma on a GPU that is there for minutes: by the clock, resumable, and without an installation.
#
#   training/quarter_hour.sh bring FILE...        put shards of photographs, starting weights and lists on its disk
#   training/quarter_hour.sh warm                 compile in the background, on made-up photographs, while more arrive
#   training/quarter_hour.sh train MINUTES [OPTION...]
#                                                 train in the background on all shards brought (val*.tar: validation);
#                                                 the same call resumes, and MINUTES count in all its parts together
#   training/quarter_hour.sh watch SECONDS        what it says, until it ends or so many seconds have gone
#   training/quarter_hour.sh collect FOLDER       weights of the best and the last state in pieces of PIECE, and tables
#
# The machine needs Python 3.11 or later with torch, torchvision, numpy, pillow, scipy, scikit-image, safetensors,
# msgpack, tqdm, rich, tensorboard and matplotlib. Settings, by the environment: PLACE, the folder on its disk; PYTHON;
# SETTINGS, options of every run; LICENCE of the weights; PIECE, the largest file to bring back.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PLACE=${PLACE:-$HOME/quarter-hour}
PYTHON=${PYTHON:-python3}
LICENCE=${LICENCE:-research use only}
PIECE=${PIECE:-15M}
# Rates as of an earlier run on one H100, which took 160 pictures of 192 pixels a step, and 96 of 256; packed at the side
# at which results/manifests name photographs.
SETTINGS=${SETTINGS:---short-side 176 --batch 128 --early-size 192 --size 256 --early-share 0.6 --fall-share 0.6 --lr 1e-3 \
    --encoder-lr 2e-4 --ema 0.9985 --validate-every 60000 --validate-on 100 --validate-size 224 --save-every 60 --compile}
export PYTHONPATH="$here/gimp_plugin:$here/daemon:$here/training"

fail() {
    echo "quarter_hour.sh: $1" >&2
    exit 2
}

options() { # of every run, then those of the call
    local weights=("$PLACE"/data/*.safetensors)
    [ -e "${weights[0]}" ] || weights=(random)
    read -ra settings <<<"$SETTINGS"
    printf '%s\0' "${settings[@]}" --backbone "${weights[0]}" "$@"
}

chroma() { # the recipe with these options, in the background, its pid and its words in PLACE
    nohup setsid "$PYTHON" -m colorize_training chroma "$@" >>"$PLACE/log" 2>&1 </dev/null &
    echo $! >"$PLACE/pid"
}

running() { [ -e "$PLACE/pid" ] && kill -0 "$(cat "$PLACE/pid")" 2>/dev/null; }

bring() {
    mkdir -p "$PLACE/data"
    cp "$@" "$PLACE/data/"
    ls -l "$PLACE/data"
}

warm() {
    running && fail "something runs already; watch it"
    mkdir -p "$PLACE/made-up"
    "$PYTHON" - "$PLACE/made-up" <<'PYTHON'
import sys
import numpy as np
from PIL import Image
rng = np.random.default_rng(0)
for number in range(8):
    patches = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    patches.resize((352, 264), Image.Resampling.BICUBIC).save(f"{sys.argv[1]}/{number}.png")
PYTHON
    mapfile -d '' -t all < <(options --data "$PLACE/made-up" --split 75/25/0 --out "$PLACE/warmed" --validate-every 1000000)
    local batch=32
    [[ $SETTINGS =~ --batch\ ([0-9]+) ]] && batch=${BASH_REMATCH[1]}
    rm -rf "$PLACE/warmed"
    chroma "${all[@]}" --early-share 0.5 --samples $((4 * batch))
}

train() {
    local minutes=${1:?minutes} shards=() held_out=()
    shift
    running && fail "something runs already; watch it"
    for shard in "$PLACE"/data/*.tar; do
        case ${shard##*/} in val*) held_out+=("$shard") ;; *) shards+=("$shard") ;; esac
    done
    [ -e "${shards[0]:-}" ] || fail "no shard was brought"
    [ ${#held_out[@]} -eq 0 ] || set -- --validation "${held_out[@]}" "$@"
    mapfile -d '' -t all < <(options --data "${shards[@]}" --out "$PLACE/run" --minutes "$minutes" "$@")
    chroma "${all[@]}"
}

watch() {
    local end=$((SECONDS + ${1:?seconds}))
    while running && ((SECONDS < end)); do sleep 1; done
    tr '\r' '\n' <"$PLACE/log" | tail -n 20
    running || echo "ended"
}

collect() {
    local folder=${1:?folder}
    mkdir -p "$folder"
    for state in best last; do
        [ -e "$PLACE/run/$state.pt" ] || continue
        "$PYTHON" -m colorize_training export "$PLACE/run/$state.pt" "$PLACE/$state.safetensors" --licence "$LICENCE"
        split -b "$PIECE" "$PLACE/$state.safetensors" "$folder/$state.safetensors." # cat puts them together again
    done
    cp "$PLACE"/run/*.csv "$PLACE/run/run.json" "$PLACE/log" "$folder/"
}

case ${1:-} in
bring | warm | train | watch | collect) "$@" ;;
*) sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac

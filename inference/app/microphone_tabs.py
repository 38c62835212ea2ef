"""The tabs that hear the microphone, "Live" and "Record": what they show, and their scripts.

Gradio's own stream of a microphone keeps only the newest block where the server is slow, and says nothing of
the others. A WebSocket loses none and keeps their order.
"""

import html
from collections.abc import Iterable
from pathlib import Path

from inference.record.prompts import MAX_TAKES

_FOLDER = Path(__file__).parent
#: For the head of the page.
HEAD = f"<script>{(_FOLDER / 'microphone.js').read_text('utf-8')}</script>"

_LIVE = """
<p>The words appear while you speak; a dot is a word that is refused.</p>
<form>
  <label>Backend <select name="backend">{options}</select></label>
  <button name="record">Record</button>
  <button name="clear" type="button">Clear</button>
</form>
<div class="level" aria-hidden="true"><div></div></div>
<p class="spoken" aria-live="polite"></p>
<p class="said" role="status">&nbsp;</p>
"""
_RECORD = f"""
<form>
  <label>Speaker <input name="speaker" required maxlength="64" placeholder="anna" autocomplete="off"></label>
  <label>Takes of each word <input name="takes" type="number" min="1" max="{MAX_TAKES}" value="10"></label>
  <button name="record">Record</button>
</form>
<p class="progress">One word after the other is asked for, and kept if it will do.</p>
<p class="asked" aria-live="polite">&nbsp;</p>
<div class="level" aria-hidden="true"><div></div></div>
<p class="said" role="status">&nbsp;</p>
<div class="row">
  <button name="again" type="button" disabled>Take again</button>
  <button name="skip" type="button" disabled>Skip</button>
  <audio controls aria-label="the last take"></audio>
</div>
"""
_STYLE = """
form, .row { display: flex; flex-wrap: wrap; gap: 12px; align-items: end; margin: 12px 0; }
.row { align-items: center; min-height: 54px; }
label { display: flex; flex-direction: column; gap: 4px; flex: 1 1 140px; }
input, select { background: var(--input-background-fill); color: var(--body-text-color); padding: 8px 12px;
  border: 1px solid var(--border-color-primary); border-radius: 8px; font: inherit; width: 100%; }
select { appearance: auto; }
input::placeholder { color: var(--input-placeholder-color); }
button { background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  border-radius: 8px; padding: 9px 18px; margin: 0; font-weight: 600; cursor: pointer; }
button[name=record] { background: var(--button-primary-background-fill);
  color: var(--button-primary-text-color); }
button:disabled { opacity: .5; cursor: default; }
.spoken { display: flex; flex-wrap: wrap; gap: 0 .3em; font-size: 2.4rem; line-height: 1.4; min-height: 1.4em;
  font-variant-numeric: tabular-nums; }
.spoken .reject { color: var(--body-text-color-subdued); }
.asked { font-size: 2.4rem; font-weight: 600; line-height: 1.2; margin: 4px 0; }
.progress, .said { margin: 4px 0; }
.said.refused { border-left: 4px solid #e69f00; padding-left: 8px; }
.level { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.level div { height: 100%; width: 0; background: var(--color-accent); }
audio { flex: 1 1 240px; height: 40px; max-width: 420px; }
.dark & audio, .dark & select { color-scheme: dark; }
audio:not([src]) { visibility: hidden; }
"""


def live_tab(backends: Iterable[str]) -> dict[str, str]:
    """What ``gradio.HTML`` is given for the tab that shows what one of these backends hears."""
    options = "".join(f"<option>{html.escape(name)}</option>" for name in backends)
    return _tab("live", _LIVE.format(options=options))


def record_tab() -> dict[str, str]:
    """What ``gradio.HTML`` is given for the tab of the guided recording."""
    return _tab("record", _RECORD)


def _tab(name: str, content: str) -> dict[str, str]:
    script = (_FOLDER / f"{name}.js").read_text("utf-8")
    return {"value": content, "css_template": _STYLE, "js_on_load": script, "elem_id": name}

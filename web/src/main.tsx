import "./styles/base.css";
import "./styles/list.css";
import "./styles/film.css";
import "./styles/panel.css";
import "./styles/narrow.css";
import "./styles/print.css";

import { render } from "preact";

import { App } from "./App";

render(<App />, document.getElementById("app") as HTMLElement);

"use strict";

// Swagger UI's style sheet has a dark theme for this class.
const dark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setTheme);
setTheme();

// Shows the component's API description unchanged, and contacts no other server.
const explorer = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#explorer",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [{ wrapComponents: { response: folded } }],
  layout: "BaseLayout",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  requestSnippetsEnabled: false,
  validatorUrl: null,
  responseInterceptor: (response) => {
    try {
      if (response.status === 201) fillIn(new URL(response.headers.location, response.url).pathname);
    } catch (error) {
      console.info("The path of what was created is unknown:", error.message);
    }
    return response;
  },
});

/** Shows only the description of a documented error until it is clicked: an operation has a dozen that are much alike. */
function folded(Response, { React: { createElement, useState } }) {
  return (props) => {
    const [open, setOpen] = useState(!/^[45]/.test(props.code));
    if (open) return createElement(Response, props);
    const unfold = { className: "folded-response", "aria-expanded": false, onClick: () => setOpen(true) };
    const description = createElement(props.getComponent("Markdown", true), {
      source: props.response.get("description"),
    });
    return createElement(
      "tr",
      { className: "response", "data-code": props.code },
      createElement("td", { className: "response-col_status" }, props.code),
      createElement("td", { className: "response-col_description" }, createElement("button", unfold, description)),
    );
  };
}

/**
 * Fills in the path of a resource that was created, in every operation below it: after /orders/7, the operations of
 * /orders/{id} and /orders/{id}/events have the id 7.
 */
function fillIn(created) {
  const segments = created.split("/").map(decodeURIComponent);
  for (const [path, item] of explorer.specSelectors.specJson().get("paths").entries()) {
    const template = path.split("/");
    const names = segments.map((_, index) => /^\{(.+)\}$/.exec(template[index])?.[1]);
    if (segments.some((segment, index) => !names[index] && segment !== template[index])) continue;
    for (const method of item.keys()) {
      names.forEach((name, index) => name && setParameter([path, method], name, segments[index]));
    }
  }
}

/** Sets a path parameter of an operation, in the form too if it is open. */
function setParameter(operation, name, value) {
  const { specActions, specSelectors } = explorer;
  specActions.changeParam(operation, name, "path", value);
  // A value that the visitor has typed is under another key, which takes precedence.
  const parameters = specSelectors.specResolvedSubtree(["paths", ...operation])?.get("parameters");
  const parameter = parameters?.find((each) => each.get("in") === "path" && each.get("name") === name);
  if (parameter) specActions.changeParamByIdentity(operation, parameter, value);
}

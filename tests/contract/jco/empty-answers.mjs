// jco serve 1.35 exits with a TypeError if a component never takes the body of its response. wasi:http allows that, for
// example for a response to HEAD, a 204 or a 304, but jco's server reads the body anyway. This file takes the body just
// before the response is set.

import { http } from "@bytecodealliance/preview2-shim";

const { OutgoingResponse, ResponseOutparam } = http.types;
const responsesWithBody = new WeakSet();

const { body } = OutgoingResponse.prototype;
OutgoingResponse.prototype.body = function () {
  responsesWithBody.add(this);
  return body.call(this);
};

const { set } = ResponseOutparam;
ResponseOutparam.set = (param, outcome) => {
  if (outcome.tag === "ok" && !responsesWithBody.has(outcome.val)) outcome.val.body();
  return set(param, outcome);
};

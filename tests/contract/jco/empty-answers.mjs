// jco serve 1.35 ends with a TypeError when an answer has no body of its own, which wasi:http allows (an answer to HEAD,
// a 204, a 304): its server asks for the body that was never taken. So it is taken here, just before.

import { http } from "@bytecodealliance/preview2-shim";

const { OutgoingResponse, ResponseOutparam } = http.types;
const taken = new WeakSet();

const { body } = OutgoingResponse.prototype;
OutgoingResponse.prototype.body = function () {
  taken.add(this);
  return body.call(this);
};

const { set } = ResponseOutparam;
ResponseOutparam.set = (param, outcome) => {
  if (outcome.tag === "ok" && !taken.has(outcome.val)) outcome.val.body();
  return set(param, outcome);
};

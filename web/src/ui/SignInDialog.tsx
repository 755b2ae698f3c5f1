import { useSignal } from "@preact/signals";

import { ApiError, signIn } from "../api/client";
import { mustSignIn } from "../state/messages";
import { Dialog } from "./Dialog";

/** Asks for the token that the service was started with. */
export function SignInDialog({ onDone }: { onDone: () => Promise<void> }) {
  const problem = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const token = new FormData(event.target as HTMLFormElement).get("token");
    try {
      await signIn(String(token));
      mustSignIn.value = false;
      await onDone();
    } catch (error) {
      problem.value =
        error instanceof ApiError && error.status === 401
          ? "That is not the token this service was started with."
          : String(error);
    }
  };
  return (
    <Dialog title="Sign in">
      <form class="sign-in" onSubmit={submit}>
        <label>
          Token
          <input name="token" type="password" autocomplete="current-password" required autofocus />
        </label>
        {problem.value && <p role="alert">{problem.value}</p>}
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
    </Dialog>
  );
}

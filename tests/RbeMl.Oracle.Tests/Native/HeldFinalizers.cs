using System.Runtime.CompilerServices;

namespace RbeMl.Oracle.Tests.Native;

/// <summary>
/// Keeps every finaliser from running until the process ends. A number given to torch becomes a native scalar of a temporary object, in
/// callers and within TorchSharp itself (its optimisers); on a busy machine the finaliser of that object frees the scalar while the native
/// call still reads it. Tensors are freed by scopes, so all that stays are scalars.
/// </summary>
internal static class HeldFinalizers
{
    private static readonly ManualResetEventSlim s_held = new(), s_end = new();
    private static readonly Lock s_lock = new();

    /// <summary>Returns when no finaliser runs any more. Not from a module's initialiser, which the finaliser thread would wait for.</summary>
    public static void Hold()
    {
        lock (s_lock)
        {
            if (s_held.IsSet) return;
            AppDomain.CurrentDomain.ProcessExit += (_, _) => s_end.Set(); // the runtime waits for its finaliser thread
            Drop();
            do GC.Collect();
            while (!s_held.Wait(TimeSpan.FromMilliseconds(100)));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Drop() => _ = new Gate();

    private sealed class Gate
    {
        ~Gate()
        {
            s_held.Set();
            s_end.Wait();
        }
    }
}

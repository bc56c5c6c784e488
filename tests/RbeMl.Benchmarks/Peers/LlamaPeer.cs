using LLama;
using LLama.Common;
using LLama.Native;

namespace RbeMl.Benchmarks.Peers;

/// <summary>llama.cpp by way of LLamaSharp, on the processor.</summary>
internal sealed class LlamaPeer : IPeer
{
    private const int Part = 512; // tokens of a call

    private static bool s_quiet;
    private readonly LLamaWeights _weights;
    private readonly LLamaContext _context;
    private readonly LLamaBatch _batch = new();

    /// <summary>Loads a GGUF file.</summary>
    public LlamaPeer(string path, int threads)
    {
        Quiet();
        ModelParams settings = new(path)
        { ContextSize = PeerModels.Positions, BatchSize = Part, UBatchSize = Part, Threads = threads, BatchThreads = threads, GpuLayerCount = 0 };
        _weights = LLamaWeights.LoadFromFile(settings);
        _context = _weights.CreateContext(settings);
    }

    /// <summary>Quantises a GGUF file of floats by llama.cpp's own rule.</summary>
    /// <param name="from">Floats.</param>
    /// <param name="to">The file to write.</param>
    /// <param name="type">Such as <c>Q4_K_M</c>.</param>
    /// <param name="threads">Threads.</param>
    /// <exception cref="InvalidDataException">There is no such type, or it failed.</exception>
    public static void Quantize(string from, string to, string type, int threads)
    {
        Quiet();
        if (!Enum.TryParse("MOSTLY_" + type, out LLamaFtype kind)) throw new InvalidDataException($"llama.cpp has no type {type}. Use one such as Q4_K_M.");
        LLamaModelQuantizeParams settings = LLamaModelQuantizeParams.Default();
        settings.ftype = kind;
        settings.nthread = threads;
        uint code = NativeApi.llama_model_quantize(from, to, ref settings);
        if (code != 0) throw new InvalidDataException($"llama.cpp could not make {type} of {from}: code {code}.");
    }

    public void Rewind(int length) => _context.NativeHandle.MemorySequenceRemove(LLamaSeqId.Zero, length, -1);

    public ReadOnlySpan<float> Read(ReadOnlySpan<int> tokens, int past)
    {
        ReadOnlySpan<float> logits = default;
        for (int start = 0; start < tokens.Length; start += Part)
        {
            int count = Math.Min(Part, tokens.Length - start);
            _batch.Clear();
            for (int i = 0; i < count; i++) _batch.Add(tokens[start + i], past + start + i, LLamaSeqId.Zero, start + i == tokens.Length - 1);
            DecodeResult result = _context.NativeHandle.Decode(_batch);
            if (result != DecodeResult.Ok) throw new InvalidDataException($"llama.cpp did not read {count} tokens: {result}.");
            if (start + count == tokens.Length) logits = _context.NativeHandle.GetLogitsIth(count - 1);
        }

        return logits;
    }

    public void Dispose()
    {
        _context.Dispose();
        _weights.Dispose();
    }

    // Before the library is used for the first time.
    private static void Quiet()
    {
        if (s_quiet) return;
        s_quiet = true;
        NativeLibraryConfig.All.WithLogCallback((level, text) =>
        {
            if (level == LLamaLogLevel.Error) Console.Error.Write(text);
        });
    }
}

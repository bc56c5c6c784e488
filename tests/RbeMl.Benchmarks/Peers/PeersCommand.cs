using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;

namespace RbeMl.Benchmarks.Peers;

/// <summary>The verb that times language models beside llama.cpp: the same weights in each library's formats, in one process and by turns.</summary>
internal static class PeersCommand
{
    /// <summary>The verb of a process that loads one peer: folder, vocabulary, layers, peer, threads.</summary>
    public const string ChildVerb = "peers-child";

    private const string Default = "llama:Q8_0,q8,llama:Q4_K_M,q4,q4+int8,t4,t4+int8w,llama:Q3_K_M,q3,sparse+bf16";
    private const int Near = 128, Far = 900, Prompt = 512, Warm = 3, Steps = 16, Compared = 96;

    // llama.cpp looks GELU up in a table of halves.
    private const double MostApart = 0.01;

    private static readonly int[] s_pasts = [Near, Far];

    public static Command Create()
    {
        Option<string> peers = new("--peers")
        {
            Description = "Peers, with commas: llama:TYPE, or q2 to q8, t2 to t6, sparse, dense, with +int8 (activations), +int8w, +bf16, +f32, +tableBITS.",
            DefaultValueFactory = _ => Default,
        };
        Option<int[]> threads = new("--threads")
        { Description = "Threads of every side.", DefaultValueFactory = _ => [1, 2], AllowMultipleArgumentsPerToken = true };
        Option<int> vocabulary = new("--vocabulary") { Description = "Token ids.", DefaultValueFactory = _ => 256 };
        Option<int> layers = new("--layers") { Description = "Blocks.", DefaultValueFactory = _ => 12 };
        Option<int> rounds = new("--rounds") { Description = "Measurements of each side, taken by turns.", DefaultValueFactory = _ => 5 };
        Option<string?> work = new("--work") { Description = "Folder that keeps the files; else they are made anew." };
        Command command = new("peers", "Times a token and a prompt of GPT-2 small beside llama.cpp; logits are compared first.")
        { peers, threads, vocabulary, layers, rounds, work };
        command.SetAction(parsed =>
        {
            string folder = parsed.GetValue(work) is { } kept ? Directory.CreateDirectory(kept).FullName
                : Directory.CreateTempSubdirectory("rbeml-peers-").FullName;
            try
            {
                PeerModels models = new(folder, parsed.GetValue(vocabulary), parsed.GetValue(layers));
                string[] names = parsed.GetValue(peers)!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
                Run(models, names, parsed.GetValue(threads)!, parsed.GetValue(rounds));
                return 0;
            }
            catch (Exception error) when (error is InvalidDataException or IOException or UnauthorizedAccessException or RbeException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
            finally
            {
                if (parsed.GetValue(work) is null) Directory.Delete(folder, recursive: true);
            }
        });
        return command;
    }

    /// <summary>Loads a peer and reads a prompt and some tokens; prints milliseconds of loading and resident bytes.</summary>
    public static int Child(string[] args)
    {
        PeerModels models = new(args[0], Whole(args[1]), Whole(args[2]));
        models.File(args[3]);
        Stopwatch watch = Stopwatch.StartNew();
        using IPeer peer = models.Load(args[3], Whole(args[4]));
        double load = watch.Elapsed.TotalMilliseconds;
        peer.Read(Tokens(Near, models.Vocabulary), 0);
        for (int i = 0; i < Steps; i++) peer.Read([i], Near + i);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{load:F0} {Environment.WorkingSet}"));
        return 0;

        static int Whole(string text) => int.Parse(text, CultureInfo.InvariantCulture);
    }

    private static void Run(PeerModels models, string[] names, int[] threads, int rounds)
    {
        Console.WriteLine($"{MachineRecord.Here.Processor}, {Environment.ProcessorCount} processors; GPT-2 small of {models.Layers} layers, "
            + $"{models.Vocabulary} ids; medians of {rounds}");
        double[] apart = Apart(models, names);
        foreach (int count in threads)
        {
            Console.WriteLine($"\n| {count} threads | file, MiB | logits off | token at {Near}, ms | of a plain read | token at {Far}, ms | prompt of "
                + $"{Prompt}, tokens a second | load, ms | resident, MiB |");
            Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
            (double Load, double Resident)[] children = [.. names.Select(name => Alone(models, name, count))];
            double[][] times = Measure(models, names, count, rounds);
            for (int i = 0; i < names.Length; i++)
            {
                double wall = MemoryWall.Milliseconds(models.BytesOfToken(names[i]), count);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| {names[i]} | {new FileInfo(models.File(names[i])).Length / 1048576.0:F1} | {apart[i]:F4} | {times[i][0]:F2} | "
                    + $"{wall / times[i][0]:P0} | {times[i][1]:F2} | {Prompt / times[i][2] * 1000:F0} | {children[i].Load:F0} | {children[i].Resident:F0} |"));
            }
        }
    }

    // Relative distance of the logits from those of dense floats, of a prompt and of single tokens. Both libraries must mean the same by the same weights.
    private static double[] Apart(PeerModels models, string[] names)
    {
        float[] exact = Logits(models, "dense");
        double floats = Distance(Logits(models, "llama:F32"), exact);
        if (!(floats <= MostApart))
        {
            throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
                $"llama.cpp's logits of dense floats are {floats:G3} from ours, where {MostApart} is the most: the two do not compute the same model."));
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"logits of dense floats: llama.cpp is {floats:G2} from ours"));
        return [.. names.Select(name => Distance(Logits(models, name), exact))];
    }

    private static float[] Logits(PeerModels models, string name)
    {
        using IPeer peer = models.Load(name, Environment.ProcessorCount);
        int[] tokens = Tokens(Compared, models.Vocabulary);
        List<float> all = [.. peer.Read(tokens, 0)];
        for (int i = 0; i < 8; i++) all.AddRange(peer.Read([tokens[i]], Compared + i));
        return [.. all];
    }

    private static double Distance(float[] found, float[] exact) => TensorPrimitives.Distance(found, exact) / TensorPrimitives.Norm(exact);

    private static (double Load, double Resident) Alone(PeerModels models, string name, int threads)
    {
        string output = ChildProcess.Output(name, ChildVerb, models.Folder, $"{models.Vocabulary}", $"{models.Layers}", name, $"{threads}");
        string[] figures = output.Trim().Split(' ');
        return (double.Parse(figures[0], CultureInfo.InvariantCulture), long.Parse(figures[1], CultureInfo.InvariantCulture) / 1048576.0);
    }

    // Milliseconds of a token with few and with many before it, and of a prompt; medians.
    private static double[][] Measure(PeerModels models, string[] names, int threads, int rounds)
    {
        List<IPeer> peers = [];
        try
        {
            foreach (string name in names) peers.Add(models.Load(name, threads));
            List<double>[][] times = [.. names.Select(_ => (List<double>[])[[], [], []])];
            int[] history = Tokens(Far, models.Vocabulary), prompt = Tokens(Prompt, models.Vocabulary);
            foreach (IPeer peer in peers) peer.Read(history, 0);
            for (int past = s_pasts.Length - 1; past >= 0; past--)
            {
                for (int round = -1; round < rounds; round++)
                {
                    for (int i = 0; i < peers.Count; i++)
                    {
                        double each = Token(peers[i], s_pasts[past]);
                        if (round >= 0) times[i][past].Add(each); // the first compiles
                    }
                }
            }

            for (int round = -1; round < rounds; round++)
            {
                for (int i = 0; i < peers.Count; i++)
                {
                    peers[i].Rewind(0);
                    Stopwatch watch = Stopwatch.StartNew();
                    peers[i].Read(prompt, 0);
                    if (round >= 0) times[i][^1].Add(watch.Elapsed.TotalMilliseconds);
                }
            }

            return [.. times.Select(each => each.Select(Medians.Of).ToArray())];
        }
        finally
        {
            foreach (IPeer peer in peers) peer.Dispose();
        }
    }

    private static double Token(IPeer peer, int past)
    {
        peer.Rewind(past);
        int token = 3;
        for (int i = 0; i < Warm; i++) token = TensorPrimitives.IndexOfMax(peer.Read([token], past + i));
        Stopwatch watch = Stopwatch.StartNew();
        for (int i = 0; i < Steps; i++) token = TensorPrimitives.IndexOfMax(peer.Read([token], past + Warm + i));
        return watch.Elapsed.TotalMilliseconds / Steps;
    }

    private static int[] Tokens(int count, int vocabulary)
    {
        Random random = new(7);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }
}

using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>Small encoders and texts for the verbs that use them.</summary>
internal static class EncoderJob
{
    /// <summary>Texts of the words it knows.</summary>
    public static readonly string[] Texts = ["the cat sat on the mat", "", "a dog running .", "the dogs", "query : a cat", "the mat"];

    /// <summary>The folder of an encoder with a prompt named query.</summary>
    public static string Model(TemporaryFolder folder, string name = "bert", int width = 8, int hidden = 12, int layers = 2)
    {
        BertModel model = new(width, hidden, layers);
        model.Others["modules.json"] = """
            [{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
            {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
            {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}]
            """;
        model.Others["1_Pooling/config.json"] = $$"""{"word_embedding_dimension":{{width}},"pooling_mode_mean_tokens":true}""";
        model.Others["config_sentence_transformers.json"] = """{"prompts":{"query":"query: "},"default_prompt_name":null}""";
        return model.Write(folder.File(name));
    }

    /// <summary>A command of <c>embed</c> or <c>classify</c> that works for a long while.</summary>
    public static string[] Long(string verb, TemporaryFolder folder, params string[] more)
    {
        string model = Model(folder, "large", 128, 512, 6), texts = Rows("many.tsv", 40_000);
        string[] work = verb switch
        {
            "embed" => ["embed", "-m", model, "--text", texts],
            "classify train" => ["classify", "train", "-m", model, "--data", texts],
            "classify predict" => ["classify", "predict", "-m", Classifier(), "--text", texts],
            "classify eval" => ["classify", "eval", "-m", Classifier(), "--data", texts],
            _ => throw new ArgumentException(verb),
        };
        return [.. work, "--threads", "1", .. more];

        string Classifier()
        {
            string file = folder.File("classifier.rbe");
            CommandRun.Of("classify", "train", "-m", model, "--data", Rows("few.tsv", 4), "--method", "head", "-o", file).Succeeds();
            return file;
        }

        string Rows(string name, int count) => folder.Write(name, "text\tlabel\n" + string.Concat(Enumerable.Range(0, count).Select(i =>
            i % 2 == 0 ? "the cat sat on the mat the cat sat on the mat the dogs\tcat\n" : "a dog running on the mat a dog running on the mat\tdog\n")));
    }
}

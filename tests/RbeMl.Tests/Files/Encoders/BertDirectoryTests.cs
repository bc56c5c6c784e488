using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Text;

namespace RbeMl.Tests.Files;

public sealed class BertDirectoryTests : IDisposable
{
    private static readonly string[] s_texts =
        ["the cat sat on the mat", "", "dogs running .", "query: a cat", "the the the the the the the the the the the the cats"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Dictionary<string, string> SentenceFiles(string pooling, bool normalize, int longest = 20) => new()
    {
        ["modules.json"] = """
            [{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
            {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}
            """ + (normalize ? """,{"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}]""" : "]"),
        ["1_Pooling/config.json"] = $$"""{"word_embedding_dimension":8,"{{pooling}}":true,"pooling_mode_mean_sqrt_len_tokens":false,"include_prompt":true}""",
        ["sentence_bert_config.json"] = $$"""{"max_seq_length":{{longest}},"do_lower_case":false}""",
        ["config_sentence_transformers.json"] = """{"prompts":{"query":"query: ","passage":""},"default_prompt_name":null}""",
    };

    private static BertModel Made(string pooling = "pooling_mode_mean_tokens", bool normalize = true)
    {
        BertModel model = new();
        foreach ((string name, string text) in SentenceFiles(pooling, normalize)) model.Others[name] = text;
        return model;
    }

    private void RequireSame(BertModel expected, string path, Pooling pooling, bool normalize)
    {
        PlainBert plain = new(expected);
        using SentenceEncoder encoder = ModelSource.LoadEncoder(path, 2);
        float[][] vectors = encoder.Embed(s_texts);
        for (int i = 0; i < s_texts.Length; i++)
        {
            double[] wanted = plain.Embed(encoder.Encode(s_texts[i]), pooling, normalize);
            for (int f = 0; f < wanted.Length; f++) Assert.Equal(wanted[f], vectors[i][f], 1e-5);
            Assert.Equal(vectors[i], encoder.Embed(s_texts[i])); // alone the same bits
        }
    }

    [Theory]
    [InlineData("pooling_mode_mean_tokens", Pooling.Mean, true)]
    [InlineData("pooling_mode_cls_token", Pooling.First, true)]
    [InlineData("pooling_mode_max_tokens", Pooling.Max, false)]
    [InlineData("pooling_mode_lasttoken", Pooling.Last, false)]
    public void Vectors_are_those_of_a_plain_forward_in_double(string mode, Pooling pooling, bool normalize)
    {
        BertModel model = Made(mode, normalize);
        string folder = model.Write(_folder.File("model"));
        RequireSame(model, folder, pooling, normalize);
        using ModelBundle bundle = ModelSource.Load(folder);
        Assert.Equal((pooling, normalize, 20), (bundle.Encoder!.Pooling, bundle.Encoder.Normalize, bundle.Encoder.MaxTokens));
        string file = _folder.File("model.rbe");
        ModelFile.Save(file, bundle.Model, bundle.Tokenizer);
        RequireSame(model, file, pooling, normalize);
        using SentenceEncoder first = ModelSource.LoadEncoder(folder, 1), second = ModelSource.LoadEncoder(file, 4);
        for (int i = 0; i < s_texts.Length; i++) Assert.Equal(first.Embed(s_texts[i]), second.Embed(s_texts[i]));
        Assert.Equal(["passage", "query"], second.Settings.Prompts.Keys.Order());
        Assert.Equal(second.Embed("query: a cat"), second.Embed("a cat", "query"));
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => second.Embed("a", "document"));
        Assert.Contains("\"passage\", \"query\"", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bert.")]
    [InlineData("module.bert.")]
    [InlineData("0.auto_model.")]
    public void Names_may_have_prefixes_and_old_LayerNorms_and_heads(string prefix)
    {
        BertModel plain = Made(), named = Made();
        named.Renamed(name => prefix + name.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal)
            .Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal));
        named.Tensors["cls.predictions.bias"] = ([22], new float[22]);
        named.Tensors[prefix + "pooler.dense.bias"] = ([8], new float[8]);
        named.Config.Remove("model_type");
        named.Config["architectures"] = new System.Text.Json.Nodes.JsonArray("BertForMaskedLM");
        string folder = named.Write(_folder.File("model"));
        RequireSame(plain, folder, Pooling.Mean, true);
        HuggingFaceModel.Shard(folder);
        RequireSame(plain, folder, Pooling.Mean, true);
        named.Config.Remove("architectures");
        RequireSame(plain, named.Write(_folder.File("nameless")), Pooling.Mean, true);
    }

    [Fact]
    public void A_folder_that_was_written_reads_as_it_was()
    {
        BertModel model = Made("pooling_mode_cls_token");
        string folder = model.Write(_folder.File("model")), file = _folder.File("model.rbe"), written = _folder.File("written");
        using (ModelBundle bundle = ModelSource.Load(folder)) ModelFile.Save(file, bundle.Model, bundle.Tokenizer);
        DenseExportResult result = DenseExport.Write(file, written);
        Assert.True(result.Tokenizer);
        RequireSame(model, written, Pooling.First, true);
        using SentenceEncoder first = ModelSource.LoadEncoder(folder), second = ModelSource.LoadEncoder(written);
        foreach (string text in s_texts) Assert.Equal(first.Embed(text), second.Embed(text));
        Assert.Equal((first.Settings.MaxTokens, first.Settings.LongTexts), (second.Settings.MaxTokens, second.Settings.LongTexts));
        Assert.Equal(first.Settings.Prompts, second.Settings.Prompts);
        Assert.Equal(first.Tokenizer.Tokens, second.Tokenizer.Tokens);
        using SafetensorsSet a = SafetensorsSet.Open(folder), b = SafetensorsSet.Open(written);
        Assert.Equal(a.Tensors.Select(t => (t.Name, t.Describe())).Order(), b.Tensors.Select(t => (t.Name, t.Describe())).Order());
        foreach (SafetensorsTensor tensor in a.Tensors)
        {
            float[] x = a.ReadFloats(tensor.Name), y = b.ReadFloats(tensor.Name);
            bool rounded = tensor.Name.Contains("position", StringComparison.Ordinal); // a row was added and taken away
            if (rounded) Assert.InRange(Numbers.RelativeError(x, y), 0, 1e-7);
            else Assert.Equal(x, y);
        }

        DenseExport.Write(file, written); // its own work may be replaced
        File.WriteAllText(Path.Combine(written, "1_Pooling", "notes.txt"), "mine");
        Assert.Contains("holds other files", Assert.Throws<RbeFileException>(() => DenseExport.Write(file, written)).Message, StringComparison.Ordinal);
    }

    // Both files say which rules hold; the configuration has the last word, as in its own library.
    [Theory]
    [InlineData(null, null, true, null)]
    [InlineData("""{"do_lower_case":false,"strip_accents":true,"tokenize_chinese_chars":false}""", null, false, true)]
    [InlineData("""{"do_lower_case":false}""", """{"max_seq_length":null,"do_lower_case":true}""", true, false)]
    public void A_tokenizer_json_alone_is_enough(string? config, string? sentence, bool lower, bool? strip)
    {
        BertModel model = new();
        model.Others.Remove("vocab.txt");
        model.Others["tokenizer.json"] = TokenizerJson("""{"type":"BertNormalizer","lowercase":true,"strip_accents":null,"handle_chinese_chars":true}""");
        if (config is not null) model.Others["tokenizer_config.json"] = config;
        if (sentence is not null) model.Others["sentence_bert_config.json"] = sentence;
        using SentenceEncoder encoder = ModelSource.LoadEncoder(model.Write(_folder.File("model")));
        Assert.Equal(BertModel.Words, encoder.Tokenizer.Tokens);
        Assert.Equal((lower, strip), (encoder.Tokenizer.Rules.LowerCase, encoder.Tokenizer.Rules.StripAccents));
        Assert.Equal(config?.Contains("chinese", StringComparison.Ordinal) != true, encoder.Tokenizer.Rules.SplitIdeographs);
        Assert.Equal(BertModel.Positions, encoder.MaxTokens);
    }

    [Theory]
    [InlineData("""{"type":"NFC"}""", "normalizer is NFC")]
    [InlineData("""{"type":"BertNormalizer","clean_text":false}""", "without clean_text")]
    public void A_tokenizer_json_of_other_rules_is_refused(string normalizer, string part)
    {
        BertModel model = new();
        model.Others["tokenizer.json"] = TokenizerJson(normalizer);
        string folder = model.Write(_folder.File("model"));
        Assert.Contains(part, Assert.Throws<RbeFileException>(() => ModelSource.LoadEncoder(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tokenizer_json_whose_words_have_no_characters_leaves_the_weights()
    {
        BertModel model = new();
        model.Others["tokenizer.json"] = TokenizerJson("""{"type":"BertNormalizer"}""")
            .Replace("_per_word\":100", "_per_word\":0", StringComparison.Ordinal);
        using BertDirectory directory = BertDirectory.Open(model.Write(_folder.File("model")));
        Assert.Null(directory.Tokenizer);
        Assert.Contains("max_input_chars_per_word is 0", directory.TokenizerProblem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tokenizer_that_vocab_txt_has_no_place_for_is_not_written()
    {
        using ModelBundle bundle = ModelSource.Load(new BertModel().Write(_folder.File("model")));
        WordPieceTokenizer other = new(BertModel.Words, new WordPieceRules { MaxWordLength = 7 });
        InvalidSettingException error =
            Assert.Throws<InvalidSettingException>(() => { BertDirectory.Save(_folder.File("out"), bundle.Model.GetWeights(), other); });
        Assert.Contains("longest word", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.File("out")));
        string file = _folder.File("model.rbe");
        ModelFile.Save(file, bundle.Model, other);
        DenseExportResult written = DenseExport.Write(file, _folder.File("dense"));
        Assert.False(written.Tokenizer);
        Assert.Contains("longest word", written.TokenizerProblem, StringComparison.Ordinal);
    }

    [Fact]
    public void The_length_of_texts_is_the_tokenizers_where_no_other_file_says_it()
    {
        BertModel model = new();
        model.Others["tokenizer_config.json"] = """{"model_max_length":16,"cls_token":{"content":"[MASK]"}}""";
        using SentenceEncoder encoder = ModelSource.LoadEncoder(model.Write(_folder.File("model")));
        Assert.Equal((16, 4), (encoder.MaxTokens, encoder.Tokenizer.ClassifyToken));
        model.Others["tokenizer_config.json"] = """{"model_max_length":1000000000000000019884624838656}""";
        using SentenceEncoder whole = ModelSource.LoadEncoder(model.Write(_folder.File("model")));
        Assert.Equal(BertModel.Positions, whole.MaxTokens);
    }

    private static string TokenizerJson(string normalizer)
    {
        System.Text.Json.Nodes.JsonObject vocabulary = [];
        foreach (string word in BertModel.Words) vocabulary[word] = vocabulary.Count;
        return $$"""
            {"added_tokens":[{"id":2,"content":"[CLS]","special":true}],"normalizer":{{normalizer}},"pre_tokenizer":{"type":"BertPreTokenizer"},
            "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
            "vocab":{{vocabulary.ToJsonString()}} } }
            """;
    }

    [Fact]
    public void Long_texts_are_cut_or_averaged_by_windows()
    {
        BertModel model = Made(normalize: false);
        string folder = model.Write(_folder.File("model"));
        string text = string.Join(' ', Enumerable.Repeat("the cat sat on mat", 9)); // 45 tokens, windows of 18
        using SentenceEncoder cut = ModelSource.LoadEncoder(folder);
        Assert.Equal((20, 47), (cut.Encode(text).Length, cut.CountTokens(text)));
        Assert.Equal(cut.Embed(cut.Tokenizer.Decode(cut.Tokenizer.Encode(text).AsSpan(0, 18))), cut.Embed(text));
        using ModelBundle bundle = ModelSource.Load(folder);
        using SentenceEncoder windows = new(bundle with { Encoder = bundle.Encoder! with { LongTexts = LongTexts.Windows } });
        PlainBert plain = new(model);
        double[] wanted = new double[8];
        int[] ids = cut.Tokenizer.Encode(text);
        foreach (int[] window in ids.Chunk(18))
        {
            double[] row = plain.Embed(cut.Tokenizer.Sequence(window), Pooling.Mean, false);
            for (int f = 0; f < 8; f++) wanted[f] += row[f] * window.Length / 45;
        }

        float[][] vectors = windows.Embed(["the cat", text, "dog"]);
        for (int f = 0; f < 8; f++) Assert.Equal(wanted[f], vectors[1][f], 1e-5);
        Assert.Equal(vectors[1], windows.Embed(text));
        Assert.Equal(cut.Embed("dog"), vectors[2]);
    }

    [Fact]
    public void Threads_share_an_encoder_and_get_the_same_bits()
    {
        using SentenceEncoder encoder = ModelSource.LoadEncoder(Made().Write(_folder.File("model")), 2);
        float[][] expected = [.. s_texts.Select(text => encoder.Embed(text))];
        Parallel.For(0, 64, i => Assert.Equal(expected[i % s_texts.Length], encoder.Embed(s_texts[i % s_texts.Length])));
        encoder.Dispose();
        Assert.Throws<ObjectDisposedException>(() => encoder.Embed("the cat"));
    }

    [Theory]
    [InlineData("roberta")]
    [InlineData("distilbert")]
    [InlineData("mpnet")]
    [InlineData("modernbert")]
    [InlineData("xlm-roberta")]
    public void Other_architectures_are_refused_by_name(string type)
    {
        BertModel model = Made();
        model.Config["model_type"] = type;
        string message = Assert.Throws<RbeFileException>(() => ModelSource.LoadEncoder(model.Write(_folder.File("model")))).Message;
        Assert.Contains($"\"{type}\"", message, StringComparison.Ordinal);
        Assert.Contains("\"bert\"", message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string, string> Unfit => new()
    {
        { "config.json", """{"model_type":"bert","hidden_size":8,"position_embedding_type":"relative_key"}""", "relative_key" },
        { "modules.json", """[{"type":"sentence_transformers.models.Dense"}]""", "Dense" },
        { "modules.json", """[{"type":"sentence_transformers.models.Pooling","path":"../x"}]""", "no folder within" },
        { "modules.json", "{}", "no list" },
        { "1_Pooling/config.json", """{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}""", "2 ways of pooling" },
        { "1_Pooling/config.json", """{"pooling_mode_weightedmean_tokens":true}""", "weightedmean" },
        { "1_Pooling/config.json", """{"word_embedding_dimension":9,"pooling_mode_cls_token":true}""", "vectors of 9 numbers" },
        { "sentence_bert_config.json", """{"max_seq_length":"many"}""", "max_seq_length" },
        { "config_sentence_transformers.json", """{"prompts":{"query":1}}""", "prompts" },
        { "config_sentence_transformers.json", """{"default_prompt_name":"x"}""", "no prompts" },
        { "vocab.txt", "a\nb\n", "[CLS]" },
        { "tokenizer.json", """{"model":{"type":"Unigram","vocab":[]}}""", "Unigram" },
    };

    [Theory]
    [MemberData(nameof(Unfit))]
    public void What_is_not_computed_is_refused_by_name(string file, string text, string part)
    {
        BertModel model = Made();
        string folder = model.Write(_folder.File("model"));
        File.WriteAllText(Path.Combine(folder, file), text);
        Assert.Contains(part, Assert.Throws<RbeFileException>(() => ModelSource.LoadEncoder(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_encoder_is_named()
    {
        string gpt2 = new HuggingFaceModel(8, 16).Write(_folder.File("gpt2"));
        Assert.Contains("GPT-2", Assert.Throws<RbeFileException>(() => ModelSource.LoadEncoder(gpt2)).Message, StringComparison.Ordinal);
        BertModel mute = Made();
        mute.Others.Remove("vocab.txt");
        string folder = mute.Write(_folder.File("mute"));
        Assert.Contains("without a tokenizer", Assert.Throws<RbeFileException>(() => ModelSource.LoadEncoder(folder)).Message, StringComparison.Ordinal);
        using ModelBundle bundle = ModelSource.Load(Made().Write(_folder.File("bert")));
        foreach (Action act in new Action[]
        {
            () => _ = new Generator(bundle.Model), () => _ = new RbeMl.Training.Evaluator(bundle.Model),
            () => _ = new KvCache<float>(bundle.Model.Config, 1, 4),
        })
        {
            Assert.Contains("an encoder, a BERT", Assert.Throws<InvalidSettingException>(act).Message, StringComparison.Ordinal);
        }
    }
}
